"""The same traces and steps under other models: a teacher, a base. Each in tables of its own.

Scores of two models never stand in one column. They meet by trace and step (`select/pool.py`): a step is a span of the
response's text, so that each model has its own tokenizer and chat template, fingerprint and cache.
"""

import re
from pathlib import Path
from typing import Any

from stepsift import params, student
from stepsift.core import disk, tables
from stepsift.core.errors import ScoringError, StudentError
from stepsift.core.finding import Finding
from stepsift.score import setup
from stepsift.score.identity import identify
from stepsift.score.pool import Pool
from stepsift.score.progress import OnProgress
from stepsift.score.run import score_to_tables
from stepsift.score.shipped import is_shipped, score_shipped

LIST = tables.REFERENCES


def score_references(
    settings: params.Score, pool: Pool, out: Path, cache: Path, on_progress: OnProgress | None
) -> dict[str, dict[str, Any]]:
    """Write `out/NAME/step_scores.parquet` and `rejected.parquet` for each reference; counts by name.

    `out/references.json` lists them in their order, with fingerprint and numerics. Nothing is written without
    references. Raises StudentError and ScoringError as scoring does, and names the reference.
    """
    counts, identities = {}, []
    for reference in settings.references:
        require_inside(reference)
        folder = out / reference.name
        folder.mkdir(parents=True)
        try:
            if is_shipped(reference):
                counts[reference.name], about = score_shipped(reference, pool, folder)
                identities.append({"name": reference.name, "path": reference.path} | about)
                continue
            with setup.load(reference, settings, cache) as scoring:
                score_to_tables(scoring, pool, folder, on_progress)
        except (StudentError, ScoringError) as e:
            raise type(e)(_of_reference(reference, e)) from e
        counts[reference.name] = scoring.progress.metrics()
        identity = scoring.identity.as_json()
        identities.append({"name": reference.name, "path": reference.path, "model": identity.pop("student")} | identity)
        del scoring  # and with it the model, before the next one is loaded
    if identities:
        disk.write_json(identities, out / LIST)
    return counts


def require_inside(reference: params.Reference) -> None:
    """Raise StudentError where a link leads out of the folder that DVC watches: it would not see a change."""
    for path in filter(None, (reference.path, reference.tokenizer)):
        real, folder = Path(path).resolve(), Path(params.REFERENCES_FOLDER).resolve()
        if real.is_relative_to(folder) or disk.IN_DVC_CACHE.search(real.as_posix()):
            continue
        raise StudentError(
            f"score.references: the path of '{reference.name}' is '{path}', a link that leads to '{real}', "
            f"where DVC does not see a change; put the model itself below {params.REFERENCES_FOLDER}/, or a "
            f"{student.HUB_SUFFIX} file that pins it"
        )


def check_references(settings: params.Score) -> Finding:
    """For `stepsift check`: the references, and what keeps one from being scored with."""
    lines, problems = [], []
    for reference in settings.references:
        try:
            require_inside(reference)
            if is_shipped(reference):
                lines.append(f"reference   {reference.name}: {reference.path}, log-probabilities that it ships")
                problems += [] if Path(reference.path).is_file() else [_no_file(reference)]
                continue
            identify(reference, settings)
            student.find(reference).load_renderer()
        except StudentError as e:
            problems.append(_of_reference(reference, e))
        else:
            lines.append(f"reference   {reference.name}: {reference.path}, scores the same steps")
    return Finding(lines, problems)


def _no_file(reference: params.Reference) -> str:
    return f"score.references, '{reference.name}': there is no file {reference.path}; put it there"


_OF_STUDENT = re.compile(rf"(?<![\w./-])student\.(?=(?:{'|'.join(params.Student.model_fields)})\b)")
"""What stands before a key of the student; a path such as data/student.gguf has none."""


def _of_reference(reference: params.Reference, error: Exception) -> str:
    """An error of a student's loading in terms of the reference that it is about."""
    text = str(error)
    if text.startswith("score.references"):
        return text
    return f"score.references, '{reference.name}': {_OF_STUDENT.sub('', text)}"
