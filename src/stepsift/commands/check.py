"""`stepsift check`: is everything there and right, and what would a run cost? In seconds, before anything heavy.

Parameters are checked by the time this is called; then sources, tasks and student, each problem in one sentence; then
the plan, its tokens estimated from a sample of traces. `check_student` goes further and loads the model.
"""

import statistics
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from stepsift import params, segment, student
from stepsift.core.errors import ScoringError, SourceError, StudentError, TrainingError
from stepsift.core.text import error_line
from stepsift.ingest.fill import UNKNOWN
from stepsift.ingest.run import SampleTrace, Survey, survey
from stepsift.render import Renderer
from stepsift.tasks import check_tasks, local_tasks
from stepsift.train.launch import configuration

SHOWN_PROBLEMS = 10
"""Of the sources, which may be thousands of files."""
TOLERANCE_NATS = {"float32": 1e-4, "bfloat16": 1.0, "float16": 0.2}
"""Largest difference a token between engine and naive forward passes that `check_student` takes; bfloat16 rounds
every layer's result to three digits (float16 to four), and differently for each shape of a batch."""


@dataclass(frozen=True)
class Report:
    """What a check found: lines to read, one sentence for each problem, and the sampled traces."""

    plan: list[str]
    problems: list[str]
    sample: list[SampleTrace]


@dataclass(frozen=True)
class Estimate:
    """Per trace, from a sample: means with which a pool's cost is estimated."""

    n_sampled: int
    prompt_tokens: float
    response_tokens_per_char: float
    local_passes: float
    refused: Counter[str]
    """Sampled traces that cannot be scored, by reason."""
    refusal: str
    """Why the first of them cannot."""
    full_not_possible: int


def check(settings: params.Params, sources: Path, tasks: Path) -> Report:
    """Check sources, tasks and student and plan a run; problems are returned, not raised."""
    lines: list[str] = []
    problems: list[str] = []
    found: Survey | None = None
    try:
        found = survey(sources, settings.ingest)
        problems += _first(found.problems)
        lines += _source_lines(found)
    except SourceError as e:
        problems += _first(str(e).splitlines())
    try:
        files = student.locate(settings.student)
        renderer = student.load_renderer(files, settings.student)
        lines.append(f"student     {settings.student.path}, {_prompt_form(renderer)}")
        if found is not None and found.sample:
            context = student.context_tokens(student.load_config(files), settings.student)
            cost = estimate(found.sample, renderer, settings, context)
            lines += _cost_lines(found, cost, settings, context)
            if cost.refused.total() == cost.n_sampled:
                problems.append(f"not one of {cost.n_sampled} sampled traces can be scored: {cost.refusal}")
    except StudentError as e:
        # One problem is one line, also where a template's own error has several.
        problems.append(error_line(e))
    if tasks.is_dir():
        problems += check_tasks(settings.evaluate.tasks, tasks)
    else:
        problems.append(f"there is no folder {tasks} for evaluation tasks; make it (it may be empty: mkdir -p {tasks})")
    problems += _missing_tools(settings)
    lines += _program_lines()
    lines += _training_lines(settings, tasks)
    return Report(lines, problems, found.sample if found else [])


def _missing_tools(settings: params.Params) -> list[str]:
    """What training and evaluation would stop at after hours of scoring."""
    problems = []
    if settings.train.launch is not None:
        try:
            configuration(settings.train.launch)
        except TrainingError as e:
            problems.append(str(e))
    if settings.evaluate.engine == "vllm" and not find_spec("vllm"):
        problems.append("evaluate.engine is vllm, which is not installed; 'pip install vllm', or set engine: hf")
    return problems


def estimate(sample: list[SampleTrace], renderer: Renderer, settings: params.Params, context: int) -> Estimate:
    """Encode and plan a sample of traces; raises StudentError where the template refuses all prompts."""
    from stepsift.score.plan import Planned, plan

    prompt_tokens, response_tokens, passes = [], [], []
    full_not_possible = characters = 0
    refused: Counter[str] = Counter()
    refusal = ""
    for trace in sample:
        try:
            rendered = renderer.render([dict(m) for m in trace.prompt], trace.response)
        except StudentError as e:
            # Scoring rejects such a trace; only where it is all of them, something is wrong with the student.
            refused["not_renderable"] += 1
            refusal = refusal or str(e)
            if refused["not_renderable"] == len(sample):
                raise
            continue
        prompt_tokens.append(len(rendered.prompt_ids))
        response_tokens.append(len(rendered.response_ids))
        characters += len(trace.response)
        planned = plan(rendered, _ends(trace.response, settings.segment), settings.score, context)
        if isinstance(planned, Planned):
            passes.append(len(planned.local))
            full_not_possible += "full" in settings.score.passes and not planned.full
        else:
            refused[planned.reason] += 1
            refusal = refusal or planned.detail
    return Estimate(
        n_sampled=len(sample),
        prompt_tokens=statistics.fmean(prompt_tokens),
        response_tokens_per_char=sum(response_tokens) / characters,
        local_passes=statistics.fmean(passes) if passes else 0.0,
        refused=refused,
        refusal=" ".join(refusal.split()),
        full_not_possible=full_not_possible,
    )


def check_student(settings: params.Params, sample: list[SampleTrace]) -> list[str]:
    """Score two traces with the engine and once more naively; lines to read.

    Raises ScoringError where they differ by more than TOLERANCE_NATS a token, or no sampled trace can be scored.
    """
    from stepsift.commands import selfcheck as naive
    from stepsift.score.backends.local import attempt, model_size
    from stepsift.score.forward.engine import Engine
    from stepsift.score.forward.numerics import batch_tokens, batching, prepare
    from stepsift.score.forward.packed import PackedEngine
    from stepsift.score.forward.request import Refused
    from stepsift.score.plan import Planner

    files = student.locate(settings.student)
    renderer = student.load_renderer(files, settings.student)
    device = student.pick_device(settings.score.device)
    model = student.load_model(files, settings.score.dtype, device)
    prepare(model, settings.score, device)
    context = student.context_tokens(model.config, settings.student)
    wanted = settings.score.model_copy(update={"passes": ("local", "full")})
    packed = batching(settings.score, device) == "packed"
    engine = (PackedEngine if packed else Engine)(model, batch_tokens(settings.score, device))
    planner = Planner(renderer, wanted, context, model_size(model, context).vocabulary)
    tolerance = TOLERANCE_NATS[settings.score.dtype]
    lines = []
    why = ""
    # The shortest traces of the sample: the naive way takes one forward pass a step.
    for trace in sorted(sample, key=lambda t: len(t.response)):
        ends = _ends(trace.response, settings.segment)
        planned = planner.plan([dict(m) for m in trace.prompt], trace.response, ends)
        if isinstance(planned, Refused):
            why = why or planned.detail
            continue
        if not planned.full:
            why = why or f"prompt and response exceed the student's context of {context} tokens"
            continue
        (scores,) = attempt(engine, [planned.request()])
        if isinstance(scores, Refused):
            why = why or scores.detail
            continue
        local, full = scores.local, scores.full
        assert local is not None and full is not None
        prompt, response = planned.rendered.prompt_ids, planned.rendered.response_ids
        step = np.repeat(np.arange(len(ends)), np.diff(planned.bounds)).tolist()
        windowed = naive.local_logprobs(model, prompt, response, step, len(ends), settings.score.window)
        whole = naive.full_logprobs(model, prompt, response)
        off = {"window": np.abs(local.logprob - windowed).max(), "whole context": np.abs(full.logprob - whole).max()}
        for name, worst in off.items():
            if not worst <= tolerance:
                raise ScoringError(
                    f"trace {trace.trace_id}: engine and naive scoring differ by {worst:.2g} nats a token ({name}), "
                    f"{tolerance:g} is allowed in {settings.score.dtype}; do not trust scores of this student, and "
                    "please report its architecture"
                )
        lines.append(
            f"trace {trace.trace_id}: {len(response)} tokens in {len(ends)} steps; engine and naive scoring differ by "
            f"at most {off['window']:.1e} (window) and {off['whole context']:.1e} (whole context) nats a token"
        )
        if len(lines) == 2:
            return lines
    if not lines:
        raise ScoringError(f"none of {len(sample)} sampled traces can be compared with this student: {why}")
    return lines


def _ends(response: str, settings: params.Segment) -> np.ndarray:
    return np.asarray(segment.split(response, settings).ends, dtype=np.int64)


def _source_lines(found: Survey) -> list[str]:
    total, candidates = found.total, found.candidates
    teachers = {name: tally.kept for name, tally in found.by_teacher.items() if tally.kept}
    without = [name for name in found.by_teacher if name not in teachers and name != UNKNOWN]
    files = "1 file" if len(found.by_file) == 1 else f"{len(found.by_file)} files"
    histogram = ", ".join(f"{size} for {prompts} prompts" for size, prompts in sorted(candidates.histogram.items()))
    lines = [
        f"sources     {files}, {total.read} rows read, {total.kept} kept, {total.rejected} rejected"
        + (f" ({', '.join(f'{reason} {n}' for reason, n in total.reasons.items())})" if total.rejected else ""),
        f"prompts     {found.prompts}",
        f"candidates  {candidates.min} to {candidates.max} a prompt, median {candidates.median:g} ({histogram})",
        f"teachers    {len(teachers)}: {', '.join(f'{name} {kept}' for name, kept in teachers.items())}"
        + (f"; nothing kept of {', '.join(without)}" if without else ""),
        f"traces      {total.kept}, {found.response_chars} characters",
    ]
    if found.ignored_files:
        lines.append(f"ignored     {', '.join(found.ignored_files)}")
    return lines


def _prompt_form(renderer: Renderer) -> str:
    return "prompts through its chat template" if renderer.has_template else "prompts as plain text, no chat template"


def _cost_lines(found: Survey, cost: Estimate, settings: params.Params, context: int) -> list[str]:
    share = min(1.0, settings.score.prompts / found.prompts) if settings.score.prompts and found.prompts else 1.0
    traces = found.total.kept * share
    tokens = found.response_chars * share * cost.response_tokens_per_char
    n_local = cost.local_passes * traces
    n_full = traces if "full" in settings.score.passes else 0
    lines = [
        f"tokens      about {tokens:,.0f} in responses, {cost.prompt_tokens:.0f} a prompt "
        f"(from {cost.n_sampled} encoded traces)",
        f"passes      about {n_local:,.0f} windows (window {settings.score.window}) and {n_full:,.0f} full passes",
    ]
    if cost.refused:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(cost.refused.items()))
        lines.append(
            f"            {cost.refused.total()} of {cost.n_sampled} sampled traces cannot be scored ({reasons})"
        )
    if cost.full_not_possible:
        lines.append(
            f"            {cost.full_not_possible} of {cost.n_sampled} sampled traces exceed the student's context of "
            f"{context} tokens and get no full pass"
        )
    return lines


def _program_lines() -> list[str]:
    from stepsift.verify.code import sandbox

    found = sandbox.find()
    if found.command:
        return [f"programs    answers of the kind code are run on their tests, isolated by {found.name}"]
    return [f"programs    answers of the kind code stay unchecked: no isolation ({found.reason})"]


def _training_lines(settings: params.Params, tasks: Path) -> list[str]:
    n_students = len(settings.select.names) * len(settings.train.seeds)
    local = local_tasks(tasks)
    named = [f"{task} ({'local' if task in local else 'of lm-evaluation-harness'})" for task in settings.evaluate.tasks]
    return [
        f"students    {n_students} to train ({', '.join(settings.select.names)}; "
        f"seeds {', '.join(map(str, settings.train.seeds))}), and the untrained one, on {', '.join(named)}"
    ]


def _first(problems: list[str]) -> list[str]:
    left = len(problems) - SHOWN_PROBLEMS
    return problems[:SHOWN_PROBLEMS] + ([f"and {left} more problems of the sources"] if left > 0 else [])
