"""The unit `llm`: what an answer says, what is asked, and a server that is slow, wrong, rude or dead."""

import itertools
import json
import logging
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.chat_server import Handler, chat_server, completion, in_pairs, n_sentences, send
from stepsift import params, segment
from stepsift.core import table_files, tables
from stepsift.core.errors import ParamsError, SplitterError
from stepsift.segment.llm import endpoint as endpoint_module
from stepsift.segment.llm import grouping as grouping_module
from stepsift.segment.llm.answer import UnusableError, read_groups
from stepsift.segment.llm.endpoint import KEY_VARIABLE, MOST_BYTES, Endpoint, _seconds
from stepsift.segment.llm.grouping import Grouping, Store
from stepsift.segment.llm.pieces import cut_sentences
from stepsift.segment.llm.prompt import PROMPT_SHA256
from stepsift.segment.llm.threads import in_threads
from stepsift.sidecache import SideCache

KEY = "sk-not-for-anybody"


def settings(url: str = "http://127.0.0.1:9/v1", max_step_chars: int = 1_000, **llm: Any) -> params.Segment:
    raw = {"unit": "llm", "max_step_chars": max_step_chars, "llm": {"url": url, "model": "m", **llm}}
    return params.Segment.model_validate(raw)


@pytest.mark.parametrize(
    "text",
    [
        '{"groups": [[1, 2], [3]]}',
        "[[1,2],[3]]",
        'Sure!\n```json\n{"groups": [[1, 2],\n [3]]}\n```\nI hope [this] {helps}.',
        '<think>Perhaps {"groups": [[1], [2, 3]]}? No.</think>\n{"groups": [[1, 2], [3]]}',
        'First {"groups": [[1], [2], [3]]}, better: {"groups": [[1, 2], [3]]}',
        'Thinking without an opening tag [[1]]</think>{"why": "x", "groups": [[1, 2], [3]]}',
        '{"a": {"groups": 1}} [1] {"groups": [[1, 2], [3]]} []',
    ],
)
def test_an_answer_is_read_leniently(text: str):
    assert read_groups(text, 3) == [2, 3]


@pytest.mark.parametrize(
    ("text", "reason", "says"),
    [
        ('{"groups": [[1], [3]]}', "not_a_partition", "sentence 3 stands where 2 is due"),
        ('{"groups": [[1, 2], [2, 3]]}', "not_a_partition", "sentence 2 stands where 3 is due"),
        ('{"groups": [[2, 1], [3]]}', "not_a_partition", "sentence 2 stands where 1 is due"),
        ('{"groups": [[1, 2]]}', "not_a_partition", "the groups end at sentence 2 of 3"),
        ('{"groups": [[1, 2, 3, 4]]}', "not_a_partition", "the groups end at sentence 4 of 3"),
        ('{"groups": [[0, 1, 2, 3]]}', "not_a_partition", "sentence 0 stands where 1 is due"),
        ('{"groups": [[1, 2], [], [3]]}', "not_a_partition", "a group before sentence 3 is empty"),
        ('{"groups": [["1", 2, 3]]}', "not_a_partition", "holds '1', which is no whole number"),
        ('{"groups": [[1.0, 2, 3]]}', "not_a_partition", "holds 1.0"),
        ('{"groups": [[true, 2, 3]]}', "not_a_partition", "holds True"),
        ('{"groups": [[[1, 2, 3]]]}', "not_a_partition", "no whole number"),
        ('{"groups": []}', "no_groups", "no JSON"),
        ('{"groups": [1, 2, 3]}', "no_groups", "no JSON"),
        ("", "no_groups", "no JSON"),
        ("I would rather not.", "no_groups", "no JSON"),
        ('{"groups": [[1, 2], [3', "no_groups", "no JSON"),
        ("[" * 100_000, "no_groups", "no JSON"),
        ('{"groups": [[1, 2], [3]]}<think>' + "x</think>", "no_groups", "no JSON"),
    ],
)
def test_an_answer_is_verified_strictly(text: str, reason: str, says: str):
    with pytest.raises(UnusableError) as e:
        read_groups(text, 3)
    assert e.value.reason == reason and says in str(e.value)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_every_partition_is_read_and_no_permutation(sizes: list[int]):
    numbers = iter(range(1, sum(sizes) + 1))
    groups = [list(itertools.islice(numbers, size)) for size in sizes]
    assert read_groups(json.dumps({"groups": groups}), sum(sizes)) == list(itertools.accumulate(sizes))
    if len(groups) > 1:
        with pytest.raises(UnusableError):
            read_groups(json.dumps(groups[1:] + groups[:1]), sum(sizes))


RESPONSE = "<think>\nLet x be 1. Then y is 2.\n\nSo z is 3. Check it.\n</think>\nThe answer is 3. Done."


def test_groups_become_steps_that_cover_the_text_and_never_join_thinking_and_answer():
    cut = cut_sentences(RESPONSE, settings())
    sentences = [RESPONSE[a:b].strip() for a, b in zip(cut.steps.starts, cut.steps.ends, strict=True)]
    assert sentences == [
        *("<think>\nLet x be 1.", "Then y is 2.", "So z is 3.", "Check it.\n</think>"),
        *("The answer is 3.", "Done."),
    ]
    assert len(cut.pieces()) == 1
    steps = cut.steps_of([[2, 5, 6]], 1_000)
    texts = [RESPONSE[a:b] for a, b in zip(steps.starts, steps.ends, strict=True)]
    assert "".join(texts) == RESPONSE
    assert [t.strip() for t in texts] == [
        "<think>\nLet x be 1. Then y is 2.",
        "So z is 3. Check it.\n</think>",
        "The answer is 3.",
        "Done.",
    ]
    assert steps.capped == [False] * 4
    # A group that is longer than a step may be is cut between sentences, and both parts say so.
    short = cut.steps_of([[6]], 40)
    assert all(b - a <= 40 for a, b in zip(short.starts, short.ends, strict=True))
    assert short.starts[0] == 0 and short.ends[-1] == len(RESPONSE) and short.capped == [True, True, False]


def test_a_long_trace_is_asked_about_in_pieces_that_end_at_blank_lines():
    text = " ".join(f"This is {i}." for i in range(7)) + "\n\n" + " ".join(f"This is {i}." for i in range(9))
    cut = cut_sentences(text, settings(max_sentences=10))
    # The first ten hold a blank line in their second half, before the eighth.
    assert cut.bounds == [0, 7, 16]
    assert cut_sentences(text, settings(max_sentences=6)).bounds == [0, 6, 12, 16]
    # One sentence alone is a step, and nobody is asked.
    assert [len(p) for p in cut_sentences(text, settings(max_sentences=5)).pieces()] == [5, 5, 5]
    by_chars = cut_sentences(f"X{'x' * 900}. Y{'y' * 900}. Z{'z' * 50}.", settings(max_chars=1_000))
    assert by_chars.bounds == [0, 1, 3]
    assert cut.steps_of([[7], [9]], 1_000).ends == [cut.steps.ends[6], len(text)]


@given(st.text("ab. \n?<think>/", min_size=1, max_size=200), st.integers(2, 5), st.data())
def test_whatever_the_groups_the_text_is_covered(text: str, max_sentences: int, data: st.DataObject):
    cut = cut_sentences(text, settings(max_sentences=max_sentences))
    groups = [
        sorted({*data.draw(st.lists(st.integers(1, len(piece)), max_size=len(piece))), len(piece)})
        for piece in cut.pieces()
    ]
    steps = cut.steps_of(groups, 1_000)
    assert [0, *steps.ends[:-1]] == steps.starts and steps.ends[-1] == len(text)
    assert all(a < b for a, b in zip(steps.starts, steps.ends, strict=True))


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


TRACES = {
    "a": "One is 1. Two is 2. Three is 3.",
    "b": "So x is 4. Then y is 5. It is 9. Done.",
    "c": "Alone.",
    "d": "One is 1. Two is 2. Three is 3.",
}


def cut(url: str, cache: Path, traces: dict[str, str] | None = None, **llm: Any) -> tuple[pl.DataFrame, Grouping, Time]:
    """Steps of traces as a stage gets them, under a clock that stands still."""
    own, time = settings(url, **llm), Time()
    assert own.llm is not None
    frame = pl.DataFrame({"trace_id": [*(traces or TRACES)], "response": [*(traces or TRACES).values()]})
    with Endpoint(own.llm, time.sleep, time.clock) as endpoint:
        grouping = Grouping(own, Store(own.llm, cache), endpoint.ask)
        return segment.segment_table(frame, own, grouping), grouping, time


def test_a_model_groups_sentences_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\n")
    with chat_server(in_pairs) as server:
        steps, grouping, _ = cut(server.url, tmp_path, extra={"response_format": {"type": "json_object"}}, workers=1)
        again, second, _ = cut(server.url.replace("127.0.0.1", "localhost"), tmp_path, workers=3)
        assert len(server.bodies) == 2 + 2  # other settings are other answers
        third, cached, _ = cut("http://127.0.0.1:9/elsewhere", tmp_path, max_requests=0)
    assert steps.equals(again) and steps.equals(third)
    # a and d: sentences 1-2, 3; b: 1-2, 3-4; c is one sentence.
    assert dict(steps.group_by("trace_id").len().rows()) == {"a": 2, "b": 2, "c": 1, "d": 2}
    assert (grouping.requests, grouping.from_cache, second.requests, cached.requests, cached.from_cache) == (
        2,
        0,
        2,
        0,
        2,
    )
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 4096)
    assert body["response_format"] == {"type": "json_object"} and "response_format" not in server.bodies[2]
    assert body["messages"][1]["content"] == "[1] One is 1.\n[2] Two is 2.\n[3] Three is 3."
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert grouping.finish() == "m grouped all 4 traces (2 requests, 0 answers from the cache)"
    assert grouping.metrics() == {
        **{"model": "m", "prompt_sha256": PROMPT_SHA256, "temperature": 0, "fallback": "paragraph", "grouped": 4},
        "fallbacks": {},
    }
    assert KEY not in "".join(p.read_text() for p in tmp_path.rglob("*.json"))


def test_no_order_and_no_number_of_workers_changes_a_byte(tmp_path: Path):
    """Answers come four at a time in whatever order, and some are wrong: what depends on the text alone."""
    traces = {f"{i:02}": " ".join(f"Sentence {j} of {i}." for j in range(2 + i % 5)) for i in range(20)}
    together = threading.Barrier(4)

    def answer(messages: list[dict[str, str]], _: Any) -> str:
        text = messages[-1]["content"]
        return '{"groups": [[1]]}' if " of 7." in text else json.dumps([[i + 1] for i in range(text.count("\n") + 1)])

    def in_fours(messages: list[dict[str, str]], may_send: Any) -> str:
        together.wait(60)
        return answer(messages, may_send)

    def run(cache: Path, ask: Any, **llm: Any) -> tuple[list[Any], Grouping]:
        own = settings(**llm)
        assert own.llm is not None
        grouping = Grouping(own, Store(own.llm, cache), ask)
        return grouping.cut(traces), grouping

    many, of_many = run(tmp_path / "many", in_fours, workers=4)
    one, of_one = run(tmp_path / "one", answer, workers=1)
    assert many == one and of_many.table().equals(of_one.table()) and of_many.metrics() == of_one.metrics()
    assert of_one.table().rows() == [("07", "not_a_partition")]
    # With eight requests the first eight traces are asked about, whatever came back.
    half, of_half = run(tmp_path / "half", in_fours, workers=4, max_requests=8)
    assert of_half.requests == 8 and half[:8] == one[:8]
    assert of_half.table().rows() == [("07", "not_a_partition"), *((f"{i:02}", "budget") for i in range(8, 20))]
    assert table_files.validate(tables.FALLBACKS, of_half.table()).height == 13


def test_who_is_busy_is_asked_again_when_it_says(tmp_path: Path):
    def busy(handler: Handler, body: dict[str, Any], number: int) -> None:
        match number:
            case 0:
                send(handler, 429, b"slow down", {"Retry-After": "17"})
            case 1:
                send(handler, 503, b"<html>no</html>")
            case 2:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                handler.close_connection = True
            case 3:
                send(handler, 200, b"<html>Please log in</html>")
            case _:
                in_pairs(handler, body, number)

    with chat_server(busy) as server:
        steps, grouping, time = cut(server.url, tmp_path, {"a": TRACES["a"]})
    # What the server asks for, then 2, 4 and 8 seconds of our own.
    assert time.slept == [17, 2, 4, 8] and grouping.requests == 5
    assert steps.height == 2 and not grouping.fallbacks


@pytest.mark.parametrize(
    ("answer", "reason", "n_requests"),
    [
        (lambda h, b, n: send(h, 500, b"boom"), "server_error", 3),
        (lambda h, b, n: send(h, 429, b"", {"Retry-After": "100000"}), "rate_limited", 1),
        (lambda h, b, n: send(h, 429, b"", {"Retry-After": "soon"}), "rate_limited", 3),
        (lambda h, b, n: send(h, 400, b"too many tokens"), "refused", 1),
        (lambda h, b, n: send(h, 200, b"<html>"), "no_completion", 3),
        (lambda h, b, n: send(h, 200, b'{"choices": []}'), "no_completion", 3),
        (lambda h, b, n: send(h, 200, b"[" * 100_000), "no_completion", 3),
        (lambda h, b, n: send(h, 200, b"x" * 10 * 2**20), "too_long", 1),
        (lambda h, b, n: completion(h, None), "no_groups", 1),
        (lambda h, b, n: completion(h, "One step.", finish="length"), "cut_off", 1),
        (lambda h, b, n: completion(h, [{"type": "text", "text": "[[2]]"}]), "not_a_partition", 1),
    ],
)
def test_a_trace_that_fails_is_cut_by_rules_and_counted(tmp_path: Path, answer: Any, reason: str, n_requests: int):
    def half(handler: Handler, body: dict[str, Any], number: int) -> None:
        (in_pairs if n_sentences(body) == 4 else answer)(handler, body, number)

    with chat_server(half) as server:
        steps, grouping, _ = cut(server.url, tmp_path, retries=2, workers=1)
    assert grouping.table().rows() == [("a", reason), ("d", reason)]
    assert grouping.requests == n_requests + 1  # a and d are one text
    assert grouping.metrics()["fallbacks"] == {reason: 2} and grouping.metrics()["grouped"] == 2
    by_rules = params.Segment(unit="paragraph")
    assert steps.filter(pl.col("trace_id") == "a")["end"].to_list() == segment.split(TRACES["a"], by_rules).ends
    assert f"2 traces were cut by paragraph instead ({reason} 2)" in grouping.finish()
    # What failed is not kept: it is asked about again.
    with chat_server(in_pairs) as server:
        _, second, _ = cut(server.url, tmp_path)
    assert (second.requests, second.from_cache) == (1, 1) and not second.fallbacks


def test_rubbish_is_read_up_to_a_bound(tmp_path: Path):
    sent = []

    def endless(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1_000):
            handler.wfile.write(b"x" * 2**20)
            sent.append(1)

    with chat_server(endless) as server, pytest.raises(SplitterError, match="an answer of more than 2,097,152 bytes"):
        cut(server.url, tmp_path, {"a": TRACES["a"]})[1].finish()
    assert len(sent) < 100 and MOST_BYTES == 2**21


def test_an_answer_that_drips_has_a_time_too(tmp_path: Path):
    own, time = settings(timeout_s=30, retries=1), Time()
    assert own.llm is not None

    def drip(handler: Handler, body: dict[str, Any], number: int) -> None:
        time.now += 31
        send(handler, 200, b"{")

    with chat_server(drip) as server:
        llm = own.llm.model_copy(update={"url": server.url})
        with Endpoint(llm, time.sleep, time.clock) as endpoint, pytest.raises(endpoint_module.NoAnswerError) as e:
            endpoint.ask([], lambda: True)
    assert e.value.reason == "timeout" and len(server.bodies) == 2


def test_a_server_that_says_nothing_is_left_after_the_timeout(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        with pytest.raises(SplitterError, match=r"timeout 2; the first: no answer within 0.05 s"):
            cut(url, tmp_path, {"a": TRACES["a"], "b": TRACES["b"]}, timeout_s=0.05, retries=0)[1].finish()


def test_a_dead_server_is_given_up_and_said(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    traces = {f"{i:02}": f"One is {i}. Two is 2." for i in range(40)}
    steps, grouping, time = cut(url, tmp_path, traces, workers=1, retries=3)
    assert steps["trace_id"].n_unique() == 40 and grouping.counts.fallbacks == {"unreachable": 40}
    # Ten pieces of four requests each, then no more; waits of 1, 2 and 4 seconds between them.
    assert time.slept == [1, 2, 4] * 10
    with pytest.raises(SplitterError, match=r"m gave no answer that can be used for 40 traces \(unreachable 40"):
        grouping.finish()


def test_a_wrong_key_ends_the_run_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    caplog.set_level(logging.DEBUG)
    with (
        chat_server(lambda h, b, n: send(h, 401, f"Incorrect API key provided: {KEY}".encode())) as server,
        pytest.raises(SplitterError, match=r"HTTP 401: Incorrect API key provided: \*\*\*\); correct") as e,
    ):
        cut(server.url, tmp_path)
    assert KEY not in str(e.value) and KEY not in caplog.text
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\nX-Injected: 1")
    with pytest.raises(SplitterError, match="holds a character that no key has") as e:
        cut("http://127.0.0.1:9/v1", tmp_path)
    assert KEY not in str(e.value)


def test_a_redirect_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with chat_server(in_pairs) as other:
        moved = {"Location": f"{other.url}/chat/completions"}
        with (
            chat_server(lambda h, b, n: send(h, 307, b"", moved)) as server,
            pytest.raises(SplitterError, match="a redirect, which is not followed"),
        ):
            cut(server.url, tmp_path)
    assert not other.bodies


def test_who_refuses_one_text_ends_no_run(tmp_path: Path):
    def filtered(handler: Handler, body: dict[str, Any], number: int) -> None:
        if n_sentences(body) == 4:
            send(handler, 403, b"content filter")
        else:
            in_pairs(handler, body, number)

    with chat_server(filtered) as server:
        _, grouping, _ = cut(server.url, tmp_path, workers=1)
    assert grouping.table().rows() == [("b", "refused")]


def test_what_was_answered_before_a_kill_is_not_asked_again(tmp_path: Path):
    own, time = settings(workers=1), Time()
    assert own.llm is not None
    asked = []

    def ask(messages: list[dict[str, str]], _: Any) -> str:
        asked.append(messages)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return '{"groups": [[1, 2, 3]]}'

    grouping = Grouping(own, Store(own.llm, tmp_path), ask)
    with pytest.raises(KeyboardInterrupt):
        grouping.cut({"a": TRACES["a"], "b": TRACES["b"]})
    with chat_server(in_pairs) as server:
        steps, second, _ = cut(server.url, tmp_path)
    assert (second.requests, second.from_cache) == (1, 1)
    assert steps.filter(pl.col("trace_id") == "a").height == 1 and time.slept == []


def test_who_refuses_many_texts_is_still_there(tmp_path: Path):
    traces = {f"{i:02}": f"One is {i}. Two is 2." for i in range(15)} | {"99": "One. Two. Three."}

    def particular(handler: Handler, body: dict[str, Any], number: int) -> None:
        (in_pairs if n_sentences(body) == 3 else lambda h, b, n: send(h, 422, b"no"))(handler, body, number)

    with chat_server(particular) as server:
        _, grouping, _ = cut(server.url, tmp_path, traces, workers=1)
    assert grouping.metrics()["fallbacks"] == {"refused": 15} and grouping.counts.grouped == 1


def test_repetitions_are_paid_from_the_budget(tmp_path: Path):
    with chat_server(lambda h, b, n: send(h, 500, b"")) as server:
        _, grouping, _ = cut(server.url, tmp_path, retries=20, max_requests=5, workers=1)
    assert len(server.bodies) == grouping.requests == 5


def test_threads_end_with_the_first_error_and_wait_for_nobody():
    begun, never = [], threading.Event()

    def work(key: int, value: str) -> str:
        begun.append(key)
        if key == 1:
            raise SplitterError(value)
        never.wait(600)
        return value

    with pytest.raises(SplitterError, match="refused"):
        list(in_threads(work, ((i, "refused") for i in range(100)), 2))
    never.set()
    for thread in threading.enumerate():
        if thread.name.startswith("groups-"):
            thread.join(60)
    assert 1 in begun and set(begun) <= {0, 1}
    assert sorted(in_threads(lambda k, v: v * k, [(2, "a"), (1, "b")], 3)) == [(1, "b"), (2, "aa")]


def test_a_proxy_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", f"nonsense://user:{KEY}@proxy:1")
    with pytest.raises(SplitterError, match="a proxy that the environment names") as e:
        cut("http://models.example.org/v1", tmp_path)
    assert KEY not in str(e.value)


def test_what_is_another_answer_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def key(sentences: tuple[str, ...] = ("a", "b"), **llm: Any) -> str:
        own = settings(**llm).llm
        assert own is not None
        return Store(own, tmp_path).key([*sentences])

    alike = [
        *({"url": "https://elsewhere/v2"}, {"workers": 9}, {"retries": 0}, {"timeout_s": 1}, {"max_requests": 1}),
        *({"fallback": "line"}, {"max_sentences": 5}, {"max_chars": 2_000}),
    ]
    assert {key(**llm) for llm in alike} == {key()}
    others = [{"model": "n"}, {"temperature": 0.5}, {"max_tokens": 99}, {"max_tokens": None}, {"extra": {"seed": 1}}]
    keys = [key(), key(("ab",)), key(("b", "a")), *(key(**llm) for llm in others)]
    monkeypatch.setattr(grouping_module, "PROMPT_SHA256", "another prompt")
    assert len({*keys, key()}) == len(keys) + 1


def test_an_answer_that_is_removed_meanwhile_leaves_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SideCache, "has", lambda cache, key: True)
    own = settings("https://models.example.org/v1").llm
    assert own is not None
    assert Store(own, tmp_path).get("k") is None
    assert [*tmp_path.rglob("*")] == []


def test_an_expected_wait_is_read_in_both_forms():
    assert _seconds(None) is None and _seconds("soon") is None
    assert _seconds("3") == 3 and _seconds("-3") == 0
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    later = _seconds("Wed, 21 Oct 2099 07:28:00 GMT")
    assert later is not None and later > 10**8


def test_an_expected_wait_of_any_length_is_read_or_says_nothing():
    assert _seconds("1" * 400) >= sys.maxsize and _seconds("-" + "1" * 400) == 0
    assert _seconds("1" * 5_000) is None
    assert _seconds(f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT") is None
    assert _seconds(f"Wed, 21 Oct 2015 07:28:00 +{'9' * 30}") is None


def test_what_it_would_take_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    own = settings("https://models.example.org/v1", max_requests=1)
    expected = segment.forecast(TRACES.values(), own, tmp_path)
    # Two texts of 3 and 4 sentences (a and d are alike), three tokens a number.
    assert (expected.traces, expected.requests, expected.cached, expected.answer_tokens) == (4, 2, 0, 21)
    finding = segment.check_splitter(own, [*TRACES.values()], 400, tmp_path)
    assert finding.lines[0].startswith("splitter    m at models.example.org: 200 requests for 400 traces, about ")
    assert finding.lines[0].endswith(" to write, at most 1 in one run (segment.llm.max_requests)")
    leaves = "responses LEAVE THIS MACHINE: their whole text is sent to models.example.org"
    assert finding.lines[1].strip() == f"{leaves}; no key: STEPSIFT_LLM_KEY is empty"
    assert finding.warnings[0].startswith("segment.llm.max_requests is 1, and about 200 are needed")
    assert "stay on this machine" in segment.check_splitter(settings(), ["x"], 1, tmp_path).lines[1]
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    unsafe = segment.check_splitter(settings("http://models.example.org/v1"), ["x"], 1, tmp_path)
    assert any("sent unencrypted" in w for w in unsafe.warnings) and KEY not in str(unsafe)
    assert segment.check_splitter(params.Segment(), ["x"], 1, tmp_path).lines == ()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"unit": "llm"}, "unit is 'llm' and llm is empty; name the model"),
        ({"llm": {"url": "http://x/v1"}}, "key 'segment.llm.model' is missing"),
        ({"llm": {"url": "ftp://x", "model": "m"}}, "must be an address such as https://host/v1"),
        ({"llm": {"url": "http://x:y/", "model": "m"}}, "must be an address"),
        ({"llm": {"url": "x/v1", "model": "m"}}, "must be an address"),
        ({"llm": {"url": f"https://u:{KEY}@x/v1", "model": "m"}}, "must hold no user, password"),
        ({"llm": {"url": f"https://x/v1?key={KEY}", "model": "m"}}, "must hold no user, password, query"),
        ({"llm": {"url": "http://x", "model": "m", "key": KEY}}, "unknown key 'segment.llm.key'"),
        ({"llm": {"url": "http://x", "model": "m", "extra": {"model": "n"}}}, "must not hold model"),
        ({"llm": {"url": "http://x", "model": "m", "retries": 99}}, "must be at most 20"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence_without_a_key(raw: dict[str, Any], says: str):
    with pytest.raises(ParamsError) as e:
        params.parse({"segment": raw})
    assert says in str(e.value) and KEY not in str(e.value) and len(e.value.problems) == 1


def test_another_unit_may_name_a_model_for_the_command_splitters():
    own = params.Segment.model_validate({"llm": {"url": "http://x", "model": "m"}})
    with segment.open_grouping(own, Path("nowhere")) as grouping:
        assert grouping is None
    assert own.rules == "sentence" and settings(fallback="line").rules == "line"
