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
EXTRAS = {
    "remotes": "lock.txt",
    "ray": "lock.txt and remotes.txt",
    "moto": "lock.txt, remotes.txt and ray.txt",
    "browser": "the other files",
}
"""Extras that have a file of their own, each with what is installed before it."""
EXTRA_HEADER = "# Written by `make lock`: what the extra `{}` needs beyond {}, for `make {}`. Do not edit.\n"


def main() -> None:
    """Write all lock files; pip's own messages say what went wrong where it does."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", "-r", ROOT / "requirements/torch.txt"], check=True)
        pins = resolve(pip, f"{ROOT}[dev]")
        files = {"lock.txt": HEADER + "\n".join(pins)}
        so_far = ["dev"]
        for extra, before in EXTRAS.items():
            so_far.append(extra)
            # In the same environment: what is pinned already stays as it is, if the extra can live with it.
            more = resolve(pip, f"{ROOT}[{','.join(so_far)}]")
            if changed := [p for p in pins if p not in more]:
                raise SystemExit(f"the extra {extra} wants other versions of {', '.join(changed)}")
            files[f"{extra}.txt"] = EXTRA_HEADER.format(extra, before, extra) + "\n".join(
                p for p in more if p not in pins
            )
            pins = more
    for name, text in files.items():
        (ROOT / "requirements" / name).write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"{len(text.splitlines()) - 1} packages pinned in requirements/{name}\n")


def resolve(pip: list[str], package: str) -> list[str]:
    """Install a package and return all that is installed then, as pins."""
    subprocess.run([*pip, "install", "--quiet", "-e", package], check=True)
    subprocess.run([*pip, "check"], check=True)
    # All, for setuptools: torch needs it, and pip leaves it out of a freeze on old Pythons.
    freeze = [*pip, "freeze", "--all", "--exclude-editable", "--exclude", "pip", "--exclude", "wheel"]
    frozen = subprocess.run(freeze, check=True, capture_output=True, text=True)
    return [line for line in frozen.stdout.splitlines() if not line.startswith(("torch==", "torch @", "#"))]


if __name__ == "__main__":
    main()
