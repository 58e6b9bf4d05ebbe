"""The page: hostile names are text, what does not exist is empty, and nothing is fetched."""

from html.parser import HTMLParser
from typing import Any

import jinja2
import polars as pl
import pytest

from stepsift import tables
from stepsift.report import render_page

HOSTILE = '<script>alert("1")</script>'
SHOWN = "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;"
VOID = {"meta"}

INGEST: dict[str, Any] = {
    "total": {"kept": 4, "read": 6, "reasons": {"broken_json": 2}},
    "prompts": 3,
    # "(unknown)" stands for the rows whose teacher could not be read: no teacher.
    "by_teacher": {"(unknown)": {"kept": 0}, HOSTILE: {"kept": 3}, "late": {"kept": 1}},
}
SELECT: dict[str, Any] = {
    "n_scored": 4,
    "n_candidates": 3,
    "selectors": {
        "lalp": {"n_chosen": 3, "share_correct": 0.666, "mean_tokens": 12.4, "teachers": {HOSTILE: 2, "late": 1}},
        "galp": {"n_chosen": 0, "share_correct": None, "mean_tokens": None, "teachers": {}},
    },
}


def teacher(name: str, metric: str = "lalp", domain: str = "all", **values: float | None) -> dict[str, Any]:
    row = dict.fromkeys(tables.TEACHERS.schema) | {"n_prompts": 3, "n_common": 1, "share_kept": 0.5}
    return row | {"teacher": name, "metric": metric, "domain": domain} | values


def evaluation(model: str, task: str = "quiz", **values: float | None) -> dict[str, Any]:
    return dict.fromkeys(tables.EVALUATIONS.schema) | {"task": task, "model": model, "n": 8, "accuracy": 0.5} | values


TEACHERS = [
    teacher("late", n_prompts=1),
    teacher(HOSTILE, rank=2, rank_low=1, rank_high=2, mean=-1.25, ci_low=-1.5, ci_high=-1.0),
    teacher("first", rank=1, rank_low=1, rank_high=1, mean=-1.125, ci_low=-1.375, ci_high=-0.875, p_above_next=0.75),
    teacher("first", domain="algebra", rank=1, mean=-9.875),
    teacher("first", metric="galp", rank=1, mean=-2.5),
]
EVALUATIONS = [
    evaluation("untrained"),
    evaluation("lalp/seed-0", accuracy=0.625, stderr=0.171, ended=0.875),
    evaluation("untrained", task=HOSTILE, accuracy=0.0),
]


def page(
    ingest: dict = INGEST, select: dict = SELECT, teachers: list = TEACHERS, evaluations: list = EVALUATIONS
) -> str:
    return render_page(
        "a & b",
        ingest,
        select,
        pl.DataFrame(teachers, schema=tables.TEACHERS.schema),
        pl.DataFrame(evaluations, schema=tables.EVALUATIONS.schema),
    )


class Reader(HTMLParser):
    """Tables as rows of cells; fails where a tag is not closed in order, or could fetch something."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
        names = {name for name, _ in attrs}
        assert not names & {"src", "href", "srcset", "action", "data"} and not any(n.startswith("on") for n in names)
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def test_every_number_is_where_it_belongs():
    assert Reader(page()).tables == [
        [
            ["quiz", "accuracy", "±", "questions", "answers ended"],
            ["untrained", "0.500", "", "8", ""],
            ["lalp/seed-0", "0.625", "0.171", "8", "0.88"],
        ],
        [[HOSTILE, "accuracy", "±", "questions", "answers ended"], ["untrained", "0.000", "", "8", ""]],
        [
            ["teacher", "rank", "mean", "low", "high", "above next", "kept", "prompts", "common"],
            ["first", "1", "-2.500", "", "", "", "50\xa0%", "3", "1"],
        ],
        [
            # By rank, those without one last; the ranking of a single domain is not shown.
            ["teacher", "rank", "mean", "low", "high", "above next", "kept", "prompts", "common"],
            ["first", "1", "-1.125", "-1.375", "-0.875", "0.750", "50\xa0%", "3", "1"],
            [HOSTILE, "2 (1 to 2)", "-1.250", "-1.500", "-1.000", "", "50\xa0%", "3", "1"],
            ["late", "", "", "", "", "", "50\xa0%", "1", "1"],
        ],
        [
            ["selector", "prompts", "share correct", "mean tokens", "teachers"],
            ["lalp", "3", "0.67", "12", f"{HOSTILE} 2, late 1"],
            ["galp", "0", "", "", ""],
        ],
        [["reason", "rows"], ["broken_json", "2"]],
    ]


def test_the_first_lines_say_what_was_kept():
    text = " ".join(page().split())
    assert "4 of 6 rows kept as traces of 3 prompts by 2 teachers; 4 scored, 3 candidates." in text


def test_each_table_says_whether_it_was_measured_by_training():
    accuracy, teachers = page().split("<h2>Accuracy</h2>")[1].split("<h2>Teachers</h2>")
    assert "Measured by training." in accuracy
    assert "From scores alone, nothing was trained." in teachers.split("<h2>")[0]


def test_a_hostile_name_is_text_wherever_it_stands():
    ingest = INGEST | {"total": INGEST["total"] | {"reasons": {HOSTILE: 2}}}
    html = page(ingest=ingest, teachers=[teacher(HOSTILE, metric=HOSTILE)], evaluations=[evaluation(HOSTILE, HOSTILE)])
    assert "<script" not in html
    # Task and model, metric and teacher, a selector's teacher, a reason.
    assert html.count(SHOWN) == 6
    assert "<title>a &amp; b</title>" in html
    assert "<h1>a &amp; b</h1>" in html


def test_nothing_that_is_missing_shows_as_a_word():
    shown = page(teachers=[teacher("t")], evaluations=[evaluation("untrained")])
    assert not {"None", "nan", "null", "undefined"} & set(shown.replace("<", " ").replace(">", " ").split())


def test_a_page_without_rows_is_whole():
    html = page(ingest=INGEST | {"total": {"kept": 6, "read": 6, "reasons": {}}}, teachers=[], evaluations=[])
    assert "<p>None at ingest.</p>" in html
    assert len(Reader(html).tables) == 1


def test_the_page_is_one_document_that_fetches_nothing():
    html = page()
    assert html.startswith("<!doctype html>\n<html")
    seen = Reader(html).seen
    assert [seen.count(tag) for tag in ("html", "head", "title", "body", "h1")] == [1] * 5
    assert "://" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_the_same_numbers_give_the_same_bytes():
    assert page() == page()


def test_a_number_that_a_stage_did_not_write_is_an_error_and_no_gap():
    with pytest.raises(jinja2.UndefinedError, match="n_scored"):
        page(select={k: v for k, v in SELECT.items() if k != "n_scored"})
