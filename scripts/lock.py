"""Resolve the dependencies of pyproject.toml in a fresh virtual environment and pin them in requirements/.

torch is pinned apart, in requirements/torch.txt: it comes from another index for each kind of device, and with it come
the device's own packages.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Written by `make lock` from pyproject.toml; torch is in torch.txt. Do not edit.\n"
RAY_HEADER = "# Written by `make lock`: what the extra `ray` needs beyond lock.txt, for `make ray`. Do not edit.\n"


def main() -> None:
    """Write both lock files; pip's own messages say what went wrong where it does."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", "-r", ROOT / "requirements/torch.txt"], check=True)
        pins = resolve(pip, f"{ROOT}[dev]")
        # In the same environment: what is pinned already stays as it is, if Ray can live with it.
        with_ray = resolve(pip, f"{ROOT}[dev,ray]")
    if changed := [p for p in pins if p not in with_ray]:
        raise SystemExit(f"Ray wants other versions of {', '.join(changed)}")
    write("lock.txt", HEADER, pins)
    write("ray.txt", RAY_HEADER, [p for p in with_ray if p not in pins])


def resolve(pip: list[str], package: str) -> list[str]:
    """Install a package and return all that is installed then, as pins."""
    subprocess.run([*pip, "install", "--quiet", "-e", package], check=True)
    subprocess.run([*pip, "check"], check=True)
    frozen = subprocess.run([*pip, "freeze", "--exclude-editable"], check=True, capture_output=True, text=True)
    return [line for line in frozen.stdout.splitlines() if not line.startswith(("torch==", "torch @", "#"))]


def write(name: str, header: str, pins: list[str]) -> None:
    """Write one lock file."""
    (ROOT / "requirements" / name).write_text(header + "\n".join(pins) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(pins)} packages pinned in requirements/{name}\n")


if __name__ == "__main__":
    main()
