"""What a `.dvc` file says of the file or folder that DVC holds."""

from dataclasses import dataclass
from typing import Any

import yaml

from stepsift.core import bounded_yaml
from stepsift.core.errors import SourceError
from stepsift.core.text import has_conflict_marks


@dataclass(frozen=True)
class HeldData:
    """A file or folder that DVC holds."""

    path: str
    """Below the folder of the `.dvc` file."""
    md5: str
    """`.dir` behind that of a folder; empty where the `.dvc` file names none."""


def held_data(text: str, name: str) -> list[HeldData]:
    """What the text of the `.dvc` file `name` says that DVC holds, at least one; raises SourceError if it is none."""
    try:
        content = bounded_yaml.loads(text)
    except yaml.YAMLError:
        content = None
    outs = content.get("outs") if isinstance(content, dict) else None
    if not isinstance(outs, list) or not outs or not all(map(_is_out, outs)):
        broken = "holds the conflict marks of a merge" if has_conflict_marks(text) else "is broken: it names no data"
        raise SourceError(
            f"{name} {broken}; take the one that was committed ('git checkout HEAD -- {name}'), or run 'dvc add' anew"
        )
    return [HeldData(out["path"], out.get("md5", "")) for out in outs]


def _is_out(out: Any) -> bool:
    return isinstance(out, dict) and isinstance(out.get("path"), str) and isinstance(out.get("md5", ""), str)
