"""What is named on a command line as a source: a file, a folder, or a set of the hub, with what is said of it."""

from dataclasses import dataclass, field
from pathlib import Path

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.sources import hub
from stepsift.sources.rules import over


@dataclass(frozen=True)
class Origin:
    """A file or folder, and what is known of it before it is read."""

    path: Path
    about: params.Rule = field(default_factory=params.Rule)
    """Stands above the rule file that lies beside it; teacher and licence only where rows do not say just that."""
    name: str | None = None
    """Name below the sources folder, without a file's ending; None: its teacher's where it is the only one, else its
    own."""
    patterns: tuple[str, ...] = ()
    """Globs over paths below a folder (`*` goes over slashes): only files that fit one are taken; none: all."""
    lines: tuple[str, ...] = ()
    """What is to be said of it before it is read."""


def find_origins(
    names: list[str], about: params.Rule, name: str | None, patterns: tuple[str, ...], progress: bool
) -> list[Origin]:
    """The files, folders and sets that `names` names; sets of the hub are downloaded, with bars where `progress`.

    Raises SourceError where a set cannot be had, `name` is to be that of several, or a path is that of the disk's root.
    """
    if name and len(names) > 1:
        raise SourceError(f"--name names one file or folder, and there are {len(names)}; add them one by one")
    origins = []
    for text in names:
        if not text.startswith(hub.PREFIX):
            origins.append(Origin(_named(text), about, name, patterns))
            continue
        download = hub.download(text, patterns, progress)
        published = over(params.rule({"licence": download.licence} if download.licence else {}, text), download.about)
        own = download.repository.rpartition("/")[2]
        lines = tuple(download.lines())
        origins.append(Origin(download.folder, over(published, about), name or own, patterns or hub.KINDS, lines))
    return origins


def _named(text: str) -> Path:
    """The path of a file or folder with its name at its end, which `.` and `..` do not say."""
    path = Path(text)
    path = path if path.name not in ("", "..") else path.resolve()
    if not path.name:
        raise SourceError(f"'{text}' is the whole disk; name a file of traces, or a folder that holds some")
    return path
