"""The first link: are the source files those that ingest read?"""

import json
from pathlib import Path

from stepsift.core.disk import file_md5
from stepsift.core.errors import SourceError
from stepsift.core.text import count
from stepsift.ingest.files import find as files
from stepsift.lineage.check_result import CheckResult


def check_sources(sources: Path, written: Path) -> CheckResult:
    """Compare every file below `sources` with its MD5 in `written`, the `sources.json` of ingest."""
    if not written.is_file():
        return CheckResult("sources", "", (f"there is no {written}, which ingest writes; run 'dvc repro ingest'",))
    try:
        known = json.loads(written.read_bytes())
        n_rows = sum(about["rows"] for about in known.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        advice = f"'dvc checkout {written.parent}' brings it back"
        return CheckResult("sources", "", (f"{written} is cut or damaged; {advice}",))
    try:
        present = {f.name: f.path for f in files.find_files(sources)[0]}
    except SourceError as e:
        return CheckResult("sources", "", (str(e),))
    broken = [f"{sources / name} is missing" for name in sorted(known) if name not in present]
    broken += [f"{sources / name} is new, ingest did not read it" for name in sorted(present) if name not in known]
    for name in sorted(present):
        if name in known and (seen := file_md5(present[name])) != known[name]["md5"]:
            broken.append(f"{sources / name} was changed (MD5 {seen}, ingest read {known[name]['md5']})")
    return CheckResult(
        "sources", f"{count(len(known), 'file')}, {count(n_rows, 'row')}: as ingest read them", tuple(broken)
    )
