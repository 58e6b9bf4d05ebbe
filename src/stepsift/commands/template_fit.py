"""`stepsift check --student`: how the student's template and the traces fit together.

For each teacher one example of what is encoded: the prompt, what is scored and trained, and what is trained alone, with
special tokens as they are. Then a sentence for each way in which template and traces do not fit, with its share of the
sampled traces. Nothing here needs the model.
"""

from collections.abc import Iterable, Iterator

from stepsift.core import text
from stepsift.core.errors import StudentError
from stepsift.core.text import CLOSE, OPEN, count
from stepsift.ingest.run import SampleTrace
from stepsift.render import Renderer
from stepsift.score.rendering import as_messages

_START_CHARS, _END_CHARS = 90, 70
_MOST_EXAMPLES = 20
_NAMED_TEACHERS = 4


def show_fit(renderer: Renderer, sample: Iterable[SampleTrace]) -> list[str]:
    """Lines to read: examples by teacher, then what does not fit. `sample` holds a few traces of every teacher."""
    traces = sorted(sample, key=lambda t: (t.teacher, t.trace_id))
    shown = {t.teacher: t for t in reversed(traces)}
    lines = [line for trace in list(shown.values())[::-1][:_MOST_EXAMPLES] for line in example(renderer, trace)]
    if len(shown) > _MOST_EXAMPLES:
        n_more = len(shown) - _MOST_EXAMPLES
        lines.append(f"example     {count(n_more, 'more teacher')} {'is' if n_more == 1 else 'are'} not shown")
    sentences = mismatches(renderer, traces)
    return lines + [f"fit         {sentence}" for sentence in sentences or [_FITS.format(len(traces))]]


_FITS = "template and traces fit together in all of {} sampled traces"


def example(renderer: Renderer, trace: SampleTrace) -> list[str]:
    """One trace as it is encoded."""
    head = f"example     {text.one_line(trace.teacher, 60)}, trace {trace.trace_id}"
    try:
        rendered = renderer.render(_messages(trace), trace.response)
    except StudentError as e:
        return [head, f"            cannot be rendered: {text.error_line(e, 200)}"]
    end = renderer.tokenizer.convert_ids_to_tokens(rendered.end_id)
    n = len(rendered.response_ids)
    return [
        head,
        f"  prompt    {_ends_of(_decoded(renderer, rendered.prompt_ids))}",
        f"  scored    {_ends_of(_decoded(renderer, rendered.response_ids))}",
        f"  trained   {text.count(n, 'scored token')}, then {text.one_line(str(end))}",
    ]


def mismatches(renderer: Renderer, sample: list[SampleTrace]) -> list[str]:
    """A sentence for each mismatch that a sampled trace has, with its share; none where all of them fit."""
    traces: dict[str, list[SampleTrace]] = {}
    for trace in sample:
        try:
            for sentence in _of_trace(renderer, trace):
                traces.setdefault(sentence, []).append(trace)
        except StudentError as e:
            traces.setdefault(_with(_REFUSED, text.error_line(e)), []).append(trace)
    return [sentence.replace("{}", _share(those, sample), 1) for sentence, those in traces.items()]


_OPENED = (
    f"the generation prompt of the template opens {OPEN}, {{}} hold no reasoning: {CLOSE} is put before their answers; "
    "for a student that answers at once set student.template_kwargs (enable_thinking: false in most templates)"
)
_TWICE = (
    "the generation prompt of the template closes the reasoning, {} bring a second block, since student.thinking is "
    "keep; set it to auto, or enable_thinking: true in student.template_kwargs"
)
_CLOSED = (
    "the generation prompt of the template closes the reasoning, so that of {} is neither scored nor trained; for a "
    "student that is to reason set enable_thinking: true in student.template_kwargs"
)
_DROPPED = "student.thinking is drop, so the reasoning of {} is neither scored nor trained"
_MARKUP = "the template writes reasoning in a form of its own ([]), in which {} are scored and trained"
_END = "{} end with [] themselves, the token that ends a turn: it is trained once"
_EXPORT_LOSES = (
    "a trainer that applies this template to messages (train.jsonl) loses the reasoning of {}; train with stepsift, or "
    "give the trainer a template that keeps it"
)
_EXPORT_DIFFERS = (
    "a trainer that applies this template to messages (train.jsonl) trains other text than was scored for {}; train "
    "with stepsift, or give the trainer a template that writes the assistant's turn as it is"
)
_REFUSED = "{} cannot be scored: []; set ingest.system to text or drop if the system prompt is what is refused"


def _of_trace(renderer: Renderer, trace: SampleTrace) -> Iterator[str]:
    """The sentence of each mismatch that a trace has."""
    messages, response = _messages(trace), trace.response
    thinks, kept = response.startswith(OPEN), renderer.keeps_reasoning(messages)
    of_prompt = renderer.thinking_of_prompt(messages)
    if of_prompt == "open" and not (thinks and kept):
        yield _OPENED
    if thinks and of_prompt == "closed":
        yield _TWICE if kept else _CLOSED
    elif thinks and not kept:
        yield _DROPPED
    if thinks and kept and renderer.markup is not None:
        yield _with(_MARKUP, (renderer.markup.opens or renderer.markup.between).strip())
    pieces = "".join(piece.text for piece in renderer.pieces(messages, response))
    end = str(renderer.tokenizer.convert_ids_to_tokens(renderer.end_id))
    if pieces.rstrip().endswith(end):
        yield _with(_END, end)
    # What a trainer makes of the exports that hold messages.
    trained = as_messages(renderer, messages, response)
    if trained != "same":
        yield _EXPORT_LOSES if trained == "no reasoning" else _EXPORT_DIFFERS


def _with(sentence: str, word: str) -> str:
    return sentence.replace("[]", text.one_line(word, 300))


def _share(traces: list[SampleTrace], sample: list[SampleTrace]) -> str:
    teachers = sorted({t.teacher for t in traces})
    everybody = len(teachers) == len({t.teacher for t in sample})
    more = f" and {len(teachers) - _NAMED_TEACHERS} more" if len(teachers) > _NAMED_TEACHERS else ""
    names = ", ".join(text.one_line(t, 40) for t in teachers[:_NAMED_TEACHERS]) + more
    whose = "of all teachers" if everybody else f"of {names}"
    return f"{len(traces)} of {text.count(len(sample), 'sampled trace')} ({len(traces) / len(sample):.0%}; {whose})"


def _messages(trace: SampleTrace) -> list[dict[str, str]]:
    return [dict(m) for m in trace.prompt]


def _decoded(renderer: Renderer, ids: list[int]) -> str:
    return renderer.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _ends_of(shown: str) -> str:
    """The start and the end of a text in one line, line ends as `⏎`."""
    line = text.visible(shown).replace("\n", "⏎")
    cut = len(line) - _START_CHARS - _END_CHARS
    return line if cut < 20 else f"{line[:_START_CHARS]} … {cut:,} characters … {line[-_END_CHARS:]}"
