"""A file or folder as a part of the sources: its files under the names that they have there, and its rule files."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.core.text import count
from stepsift.ingest.files import find as files
from stepsift.ingest.files.find import SourceFile
from stepsift.sources.origin import Origin
from stepsift.sources.place import dvc_file_of, rule_file_of
from stepsift.sources.rules import as_yaml, own_rule

SHOWN_FILES = 8


@dataclass(frozen=True)
class Part:
    """A file or folder that was checked."""

    target: Path
    """Where it will lie; one that lies below the sources folder already stays there."""
    files: list[SourceFile]
    """Its files, each under the name that it will have."""
    rule: params.Rule
    """What its rule file will say; nothing, and there is none, where the rows say all themselves."""
    inner: dict[str, Path]
    """Rule files inside of a folder: what each stands beside, below the sources folder, to where it lies now."""
    left_out: list[str]
    """Files of a folder that are of no kind that is read, or that no pattern fits."""

    def lines(self) -> list[str]:
        """What would be written."""
        text = as_yaml(self.rule).splitlines()
        rule = [f"rule        {rule_file_of(self.target)}", *(f"            {line}" for line in text)]
        if not text:
            rule = [f"rule        {'its own, inside of it' if self.inner else 'none is needed'}"]
        if self.target.suffix and len(self.files) == 1 and not self.left_out and not self.inner:
            return [*rule, f"place       {self.target} and {dvc_file_of(self.target)}"]
        more = f" and {len(self.left_out) - SHOWN_FILES} more" if len(self.left_out) > SHOWN_FILES else ""
        left_out = [f"left out    {', '.join(self.left_out[:SHOWN_FILES])}{more}"] if self.left_out else []
        return [*left_out, *rule, f"place       {self.target}, {count(len(self.files), 'file')}, with a .dvc file each"]


def part_of(origin: Origin, sources: Path, one: bool) -> Part:
    """The file or folder as it will lie below `sources`, with the rule that its rule file says already."""
    path = origin.path
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}; name a file of traces, or a folder that holds some")
    suffix = "" if path.is_dir() else next((s for s in files.SUFFIXES if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise SourceError(f"{path} is of no kind that is read; name one of these: {', '.join(files.SUFFIXES)}")
    if path.resolve().is_relative_to(sources.resolve()):
        name = path.resolve().relative_to(sources.resolve()).as_posix()
        if name == ".":
            raise SourceError(f"{path} is the sources folder itself; name the files and folders below it")
    else:
        # Of a link its own name: what a hub's cache links to is named by a hash.
        own = path.name
        # Several of one teacher cannot all have his name.
        teacher = _slug(origin.about.teacher) if origin.about.teacher and one else ""
        name = (origin.name or teacher or own[: len(own) - len(suffix)]) + suffix
    target = sources / name
    rule = own_rule(target) if rule_file_of(target).is_file() else own_rule(path)
    if not path.is_dir():
        return Part(target, [SourceFile(path, name, suffix)], rule, {}, [])
    inside, left_out = files.find_files(path)
    if origin.patterns:
        fit = [f for f in inside if any(fnmatchcase(f.name, pattern) for pattern in origin.patterns)]
        left_out, inside = [*left_out, *(f.name for f in inside if f not in fit)], fit
        if not inside:
            raise SourceError(
                f"no file of {path} fits --files {' '.join(origin.patterns)}; it holds {', '.join(left_out[:5])}"
            )
    return Part(
        target,
        [SourceFile(f.path, f"{name}/{f.name}", f.suffix) for f in inside],
        rule,
        {f"{name}/{beside}": file for beside, file in files.rule_files(path).items()},
        left_out,
    )


def rules_of(part: Part, sources: Path, rule: params.Rule) -> dict[str, params.Rule]:
    """What all rule files in and beside a part will say, if the one beside it is `rule`; those above it, too."""
    name = part.target.relative_to(sources)
    above = {str(folder): own_rule(sources / folder) for folder in name.parents if folder.name}
    return {**above, name.as_posix(): rule, **{n: params.load_rule(path) for n, path in part.inner.items()}}


def _slug(teacher: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", teacher).strip("-.")
