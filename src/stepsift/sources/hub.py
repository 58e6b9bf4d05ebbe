"""A data set of the hub, at a pinned commit, on this machine: downloaded by huggingface_hub into its own cache.

What is there already is not downloaded again, and what was interrupted goes on where it stopped. A branch or tag is
resolved to the commit that it names today, since a branch moves.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.core.text import error_line
from stepsift.ingest.files.find import SUFFIXES

PREFIX = "hub:"
FORM = f"{PREFIX}OWNER/NAME@REVISION"
KINDS = tuple(f"*{suffix}" for suffix in SUFFIXES)
"""What of a set is taken where nothing is said."""
_CARD = "README.md"
_ERROR_CHARS = 300


@dataclass(frozen=True)
class HubSet:
    """A data set of the hub on this machine."""

    repository: str
    revision: str
    """The commit's 40 hexadecimal digits."""
    named: str
    """The revision as it was given."""
    folder: Path
    """Its snapshot in the hub's cache; other files of it may lie there, too."""
    licence: str | None
    """What its card says."""

    def lines(self) -> list[str]:
        """What was pinned, and under which licence it is published."""
        moved = f", which '{self.named}' is today" if self.named != self.revision else ""
        licence = self.licence or "its card names no licence; say it with --licence, if you know it"
        return [f"hub         {self.repository} at commit {self.revision}{moved}", f"            {licence}"]

    @property
    def about(self) -> params.Rule:
        """What its rule file is to say, but for the licence, which stands only where rows name none."""
        return params.Rule(repository=self.repository, revision=self.revision)


def download(text: str, patterns: tuple[str, ...] = (), progress: bool = True) -> HubSet:
    """The set that `text` (FORM) names, with those files that fit one of `patterns`, else all of kinds that are read.

    Raises SourceError where it is not on this machine and cannot be downloaded.
    """
    repository, _, named = text.removeprefix(PREFIX).partition("@")
    named = named or "main"
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    kept = are_progress_bars_disabled()
    if not progress:
        disable_progress_bars()
    try:
        folder = snapshot_download(
            repository,
            repo_type="dataset",
            revision=named,
            allow_patterns=[*(patterns or KINDS), _CARD],
        )
    except Exception as e:  # besides its own errors, the client lets through those of its HTTP library
        raise SourceError(
            f"{repository} at revision {named} is not on this machine and cannot be downloaded "
            f"({error_line(e, _ERROR_CHARS)}); check the name (it is {FORM}), the network and, for a gated set, that "
            "you are logged in to the hub"
        ) from e
    finally:
        if not kept:
            enable_progress_bars()
    # Its cache names a snapshot after its commit.
    return HubSet(repository, Path(folder).name, named, Path(folder), _licence(Path(folder) / _CARD))


def _licence(card: Path) -> str | None:
    """The licence that a data set card's front matter names; None where there is no such card."""
    from huggingface_hub.repocard import metadata_load

    try:
        about = metadata_load(card) if card.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):  # what a stranger wrote
        about = None
    about = about if isinstance(about, dict) else {}
    licence = about.get("license")
    if licence == "other" and isinstance(about.get("license_name"), str):
        return str(about["license_name"])
    names = licence if isinstance(licence, list) else [licence]
    return ", ".join(str(name) for name in names if name) or None
