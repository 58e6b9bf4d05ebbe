"""The command `check`: is everything there and right, and what would a run cost? In seconds, before anything heavy.

Each room answers for itself (`core/finding.py`); here the answers are collected in the order of the pipeline, so that
a cause comes before what follows from it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stepsift import params, sidecache
from stepsift.commands import LOCK, SOURCES, TASKS
from stepsift.core.console import Voice
from stepsift.core.errors import StepsiftError
from stepsift.core.finding import Finding

if TYPE_CHECKING:
    from stepsift.ingest.run import SampleTrace

T = TypeVar("T")


@dataclass
class Checkup:
    """What the rooms answered, in the order of the pipeline, and the sampled traces."""

    findings: dict[str, Finding] = field(default_factory=dict)
    sample: "list[SampleTrace]" = field(default_factory=list)
    examples: "list[SampleTrace]" = field(default_factory=list)

    @property
    def plan(self) -> list[str]:
        """The lines of all rooms, each with its warnings behind them."""
        return [line for finding in self.findings.values() for line in _lines(finding)]

    @property
    def problems(self) -> list[str]:
        """The problems of all rooms, every one."""
        return [problem for finding in self.findings.values() for problem in finding.problems]

    def as_json(self) -> dict[str, Any]:
        """For programs: lines and problems, all together and by room, where what the lines say stands as `data`."""
        rooms = {
            room: {"lines": [*f.lines], "warnings": [*f.warnings], "problems": [*f.problems], "data": {**f.data}}
            for room, f in self.findings.items()
        }
        warnings = [warning for finding in self.findings.values() for warning in finding.warnings]
        return {"plan": self.plan, "warnings": warnings, "problems": self.problems, "rooms": rooms}

    def ask(self, room: str, function: Callable[..., T], *arguments: Any) -> T | None:
        """Keep a Finding that a function returns, and an error that it raises as the room's problems."""
        try:
            answer = function(*arguments)
        except StepsiftError as e:
            self.findings[room] = Finding(problems=str(e).splitlines())
            return None
        if isinstance(answer, Finding):
            self.findings[room] = answer
        return answer


def _survey(sources: Path, settings: params.Ingest) -> Any:
    from stepsift.ingest.files.find import require_own_files
    from stepsift.ingest.run import survey

    require_own_files(sources)
    return survey(sources, settings)


def _precision(settings: params.Params, source: Any) -> Finding:
    # Imported here: it brings torch, and a student that is not there should be said without that wait.
    from stepsift.commands.precision import check_precision

    return check_precision(settings, source)


def _device(setting: str) -> None:
    from stepsift import student
    from stepsift.container.machine import load, machine_file

    # In a container torch may see other devices.
    if load(machine_file()).engine == "host":
        student.pick_device(setting)


def _lines(finding: Finding) -> list[str]:
    return [*finding.lines, *(f"warning     {warning}" for warning in finding.warnings)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift check`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    parser.add_argument("--tasks", type=Path, default=TASKS, help="folder with local evaluation tasks")
    parser.add_argument("--student", action="store_true", help="also show how traces are rendered, and score two twice")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the plan; raises StepsiftError with all problems."""
    settings = params.load()
    report = collect(settings, args.sources, args.tasks)
    voice.lines(report.plan)
    problems = params.missing_for_dvc() + report.problems
    compared: list[str] = []
    if args.student and not problems:
        from stepsift.commands.selfcheck import compare_engine
        from stepsift.commands.template_fit import show_fit
        from stepsift.student import find

        traces = list({t.trace_id: t for t in (*report.sample, *report.examples)}.values())
        compared = show_fit(find(settings.student).load_renderer(), traces)
        compared += compare_engine(settings, traces)
    voice.lines(compared)
    answers = report.as_json()
    voice.data(answers | {"plan": answers["plan"] + compared, "problems": problems})
    if problems:
        raise StepsiftError("\n".join(problems))


def collect(settings: params.Params, sources: Path, tasks: Path) -> Checkup:
    """Ask every room, in the order of the pipeline; problems are returned, not raised."""
    # After the parameters: what follows takes seconds to import.
    from stepsift import student
    from stepsift.commands.estimate import check_cost
    from stepsift.container.image import check_machine
    from stepsift.evaluate.run import check_evaluation
    from stepsift.ingest.run import check_sources
    from stepsift.lineage.lock import check_lock
    from stepsift.segment import check_splitter
    from stepsift.select.selection import check_selectors
    from stepsift.sources.removed import check_removed
    from stepsift.train.launch import check_training
    from stepsift.verify.code.sandbox import check_isolation

    report = Checkup()
    pool = report.ask("sources", _survey, sources, settings.ingest)
    if pool is not None:
        report.ask("sources", check_sources, pool)
        report.sample, report.examples = pool.sample, pool.examples
        kept = [teacher for teacher, tally in pool.by_teacher.items() if tally.kept]
        report.ask("selectors", check_selectors, settings.select, kept)
        if settings.segment.unit == "llm":
            responses = [trace.response for trace in pool.sample]
            report.ask("splitter", check_splitter, settings.segment, responses, pool.total.kept, sidecache.root())
    report.ask("removed sources", check_removed, sources)
    report.ask("pipeline", check_lock, LOCK)
    source = report.ask("student", student.find, settings.student)
    renderer = source and report.ask("student", source.load_renderer)
    if source is not None and renderer is not None:
        report.ask("student", student.check_student, source, renderer)
        report.ask("memory", student.check_memory, source, settings.score.dtype)
        report.ask("precision", _precision, settings, source)
        if report.sample:
            report.ask("scoring", check_cost, pool, source, renderer, settings)
    if settings.score.references:
        from stepsift.score.references import check_references

        report.ask("references", check_references, settings.score)
    report.ask("programs", check_isolation)
    report.ask("machine", check_machine, Path.cwd())
    if settings.score.device not in ("auto", "cpu") and not report.findings["machine"].problems:
        report.ask("device", _device, settings.score.device)
    report.ask("training", check_training, settings.select.names, settings.train)
    report.ask("tasks", check_evaluation, settings.evaluate, tasks)
    return report
