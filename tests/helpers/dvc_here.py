"""DVC's command line in this process: a process of its own imports it for half a second."""

import io
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from typing import Any

import pytest


def dvc_here(command: list[str], env: Mapping[str, str] | None = None, **_: Any) -> subprocess.CompletedProcess[str]:
    """In place of `subprocess.run`: what `python -m dvc ..` prints on standard output, and its exit code."""
    import dvc.ui
    from dvc.cli import main

    assert command[:3] == [sys.executable, "-m", "dvc"]
    with redirect_stdout(io.StringIO()) as out, pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_NO_ANALYTICS") if env else ():
            patch.setenv(name, env[name])
        patch.setattr(dvc.ui, "disable_colorama", nullcontext)  # it puts back the standard output of before
        code = main(command[3:])
    return subprocess.CompletedProcess(command, code, out.getvalue(), "")
