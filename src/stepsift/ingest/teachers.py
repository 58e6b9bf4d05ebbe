"""The teacher of a file whose rows and rule name none: the file's name, or a folder's where that says nothing."""

import re
from pathlib import PurePosixPath

from stepsift.ingest.files.find import SourceFile

_SHARD = re.compile(
    r"[-_.]?(?:\d+[-_]of[-_]\d+(?:-[0-9a-f]{16})?|(?:part|shard|chunk|split|file)?[-_.]?\d{3,}"
    r"|(?:part|shard|chunk)[-_.]?\d+)$",
    re.I,
)
"""The part of a name that numbers the pieces of one set: `-00000-of-00042`, also before a hash, as the library datasets
wrote it for years, `_0007`, `.part-3`."""

_SAYS_NOTHING = re.compile(
    r"(?:partial-)?(?:train|test|valid|validation|val|dev|data|default|main|all|full|dataset|datasets|part|shard|chunk|split|subset"
    r"|output|outputs|result|results|generations|responses|completions|predictions|traces|rollouts?|samples?|steps?|logs?"
    r"|sft|prefs|(?:train|test)[-_](?:sft|prefs)|raw|files|jsonl|parquet|v|version|filtered|distill(?:ed)?|solutions?)?[-_.]?\d*",
    re.I,
)
"""Names of files and folders that name a role or a form and no teacher."""


def teacher_of(file: SourceFile, how: str) -> str:
    """The teacher's name; `how` is `teacher_from` of the file's rule.

    Shards of one folder are one teacher: their numbers are left out, and where what remains says nothing (`train`), the
    first folder above that says something stands in.
    """
    if how == "file":
        return file.stem
    bare = _SHARD.sub("", file.stem)
    names = [*(() if how == "folder" else (bare,)), *reversed(PurePosixPath(file.name).parts[:-1])]
    return next((name for name in names if not _SAYS_NOTHING.fullmatch(name)), bare or file.stem)
