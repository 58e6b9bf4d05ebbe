"""The report's page once more, with what changed since a revision in the place that the page keeps for it."""

from pathlib import Path

from stepsift import report
from stepsift.core.errors import CacheError, LineageError
from stepsift.lineage import render
from stepsift.lineage.diff import compare
from stepsift.lineage.snapshot import of_folder, of_revision


def with_changes(page: Path, revision: str | None, lock_file: Path) -> str:
    """The page `page` of stage report, as HTML, compared with `revision`; None: with the last commit.

    The last commit may hold no run yet, or data that cannot be fetched: the page then says so. Raises LineageError
    where `page` is none, and as `snapshot.of_folder` and, for a revision that is named, `snapshot.of_revision` do.
    """
    after = of_folder(lock_file)
    if not page.is_file():
        raise LineageError(f"there is no page {page}; run 'dvc repro'")
    before, between, rest = page.read_text(encoding="utf-8").partition(report.CHANGES)
    _, end, rest = rest.partition(report.CHANGES_END)
    if not (between and end):
        raise LineageError(f"{page} is no page of this version's report stage; run 'dvc repro'")
    try:
        lines = list(render.html(compare(of_revision(revision or "HEAD"), after)))
    except (CacheError, LineageError) as e:
        if revision is not None:
            raise
        lines = [f'<p class="note">Nothing to compare with: {render.text(str(e))}</p>']
    return "".join([before, between, *lines, end, rest])
