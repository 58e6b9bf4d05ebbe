"""Resolve the dependencies of pyproject.toml in a fresh virtual environment and pin them in requirements/lock.txt.

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


def main() -> None:
    """Write the lock file; pip's own messages say what went wrong where it does."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", "-r", ROOT / "requirements/torch.txt"], check=True)
        subprocess.run([*pip, "install", "--quiet", "-e", f"{ROOT}[dev]"], check=True)
        subprocess.run([*pip, "check"], check=True)
        frozen = subprocess.run([*pip, "freeze", "--exclude-editable"], check=True, capture_output=True, text=True)
    pins = [line for line in frozen.stdout.splitlines() if not line.startswith(("torch==", "torch @", "#"))]
    (ROOT / "requirements/lock.txt").write_text(HEADER + "\n".join(pins) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(pins)} packages pinned in requirements/lock.txt\n")


if __name__ == "__main__":
    main()
