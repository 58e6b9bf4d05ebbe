"""The page: hostile names are text, what does not exist is empty, and nothing is fetched."""

from html.parser import HTMLParser

import polars as pl

from stepsift import tables
from stepsift.report import render_page

HOSTILE = "<script>alert(1)</script>"


def page() -> str:
    teachers = pl.DataFrame(
        [(HOSTILE, "lalp", "all", 3, 1, -1.25, None, None, 1, None), ("late", "lalp", "all", 1, 1, *[None] * 5)],
        schema=tables.TEACHERS.schema,
        orient="row",
    )
    evaluations = pl.DataFrame(
        [("quiz", "untrained", None, None, 1, 0.5, None, None)],
        schema={
            c: tables.EVALUATIONS.schema[c]
            for c in ("task", "model", "selector", "seed", "n", "accuracy", "stderr", "ended")
        },
        orient="row",
    )
    ingest = {"total": {"kept": 4, "read": 6, "reasons": {"broken_json": 2}}, "prompts": 3, "by_teacher": {HOSTILE: {}}}
    chosen = {"n_chosen": 3, "share_correct": None, "mean_tokens": 12.0, "teachers": {HOSTILE: 3}}
    select = {"n_scored": 4, "n_candidates": 3, "selectors": {"lalp": chosen}}
    return render_page("a & b", ingest, select, teachers, evaluations)


def test_a_hostile_teacher_is_text():
    html = page()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert "<title>a &amp; b</title>" in html


def test_numbers_are_shown_and_nulls_are_empty():
    html = page()
    assert "<td>-1.250</td>" in html
    assert "None" not in html
    assert "4 of 6 rows kept" in html
    assert "<td>broken_json</td><td>2</td>" in html


def test_nothing_is_fetched_and_every_tag_is_closed():
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert not {"src", "href"} & {name for name, _ in attrs}
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Reader().feed(page())
    assert open_tags == []
