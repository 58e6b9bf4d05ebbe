"""The page: one document that loads nothing, every number where it belongs, hostile names as text."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import polars as pl
import pytest

from helpers.report_outputs import HOSTILE, World, write
from stepsift import report
from stepsift.core import table_files, tables
from stepsift.report import figures
from stepsift.report.page import script_hash

VOID = {"meta", "input"}
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;"


class Reader(HTMLParser):
    """Elements and tables as rows of cells; fails where a tag is not closed in order, or could load something."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        values = dict(attrs)
        assert not {"src", "srcset", "action", "data"} & values.keys()
        assert not any(n.startswith("on") for n in values)
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"path", "rect"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> report.Places:
    return write(tmp_path_factory.mktemp("outputs"), World())


@pytest.fixture(scope="module")
def page(places: report.Places) -> report.Page:
    return render(places)


@pytest.fixture(scope="module")
def read(page: report.Page) -> Reader:
    return Reader(page.html)


def render(places: report.Places) -> report.Page:
    return report.render("a & b", {"select": {"seed": 0, "selectors": ["lalp"]}}, report.read(places, 60))


@pytest.fixture
def html_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[report.Places], str]:
    """`html_of(places)`: the page without its pictures, which take two seconds and are no part of it."""
    monkeypatch.setattr("stepsift.report.page.png", lambda figure: b"")
    return lambda places: render(places).html


def table(read: Reader, first: str) -> list[list[str]]:
    return next(t for t in read.tables if t[0][: len(first.split("|"))] == first.split("|"))


def test_it_is_one_document_that_loads_nothing(page: report.Page, read: Reader):
    assert page.html.startswith("<!doctype html>\n<html")
    assert [read.seen.count(tag) for tag in ("html", "head", "body", "h1", "style")] == [1] * 5
    assert page.html.count("<title>a &amp; b</title>\n<style>") == 1
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)
    style = page.html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_these_scripts_and_nothing_else(page: report.Page, read: Reader):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.html)
    assert policy is not None
    said = dict(part.strip().split(" ", 1) for part in policy[1].replace("&#39;", "'").split(";"))
    assert said["default-src"] == "'none'"
    data, library, script = read.scripts
    assert set(said["script-src"].split()) == {script_hash(library), script_hash(script)}
    assert json.loads(data)["explorer"]["prompts"]


def test_the_numbers_are_where_they_belong(read: Reader):
    assert table(read, "student|accuracy")[1:] == [
        ["draw/seed-0", "0.250", "0.100", "8", "1", "1.00"],
        ["lalp/seed-0", "0.625", "0.100", "8", "1", "1.00"],
        ["untrained", "0.125", "0.100", "8", "1", "1.00"],
    ]
    assert table(read, "teacher|rank")[1:] == [
        ["ann", "1", "-1.000", "-1.250", "-0.750", "0.750", "100 %", "4", "4"],
        ["bob", "2", "-2.000", "-2.250", "-1.750", "0.750", "100 %", "4", "4"],
        [HOSTILE, "3", "-3.000", "-3.250", "-2.750", "0.750", "100 %", "4", "4"],
    ]
    assert table(read, "teacher|sees of what comes before")[1:] == [
        [HOSTILE, "100 %", "100 %", "4"],
        ["ann", "100 %", "100 %", "4"],
        ["bob", "100 %", "100 %", "4"],
    ]
    assert table(read, "selector|metric")[1][:5] == ["lalp", "lalp", "4", "4", "8"]
    assert table(read, "stage|reason")[1:] == [["ingest", "broken_json", "1"]]


def test_the_first_lines_say_what_was_made_of_what(page: report.Page):
    text = " ".join(re.sub(r"<[^>]+>", "", page.html.split("<header>")[1].split("<nav")[0]).split())
    assert (
        "4 traces for 4 of 4 prompts, chosen out of 12 by 3 teachers (1 source file) for the student demo/student"
        in text
    )
    assert "trained on lalp's choice the student answers 62.5 % of 8 questions, untrained 12.5 %" in text
    # 0.625 against 0.25 with standard errors of 0.1: 1.96 * 0.141 is 0.277.
    assert "is farther off than chance over questions explains" in text


def test_every_figure_says_what_it_rests_on(places: report.Places):
    claims = {f.name: f.claim for f in figures.all_figures(report.read(places, 0)).values()}
    assert claims == {
        "ranking": "From scores alone",
        "meetings": "",
        "accuracy": "Measured by training",
        "distribution": "From scores alone",
        "agreement": "From scores alone",
        "trace-lengths": "From scores alone",
        "step-lengths": "From scores alone",
        "along": "From scores alone",
        "composition": "",
        "rejected": "",
        "curves": "Measured by training",
        "learned": "Measured by training",
    }


def test_every_figure_is_a_picture_too(page: report.Page, places: report.Places):
    assert page.pngs.keys() == figures.all_figures(report.read(places, 0)).keys()
    assert all(png.startswith(b"\x89PNG\r\n") for png in page.pngs.values())


def test_every_chart_is_right_by_the_schema_of_vega_lite(places: report.Places):
    specs = [s for f in figures.all_figures(report.read(places, 0)).values() for s in f.charts.values()]
    assert len(specs) >= 12
    for spec in specs:
        alt.Chart.from_dict(spec, validate=True)
    with pytest.raises(Exception, match="'tall' is not of type 'number'"):
        alt.Chart.from_dict(specs[0] | {"height": "tall"}, validate=True)


def test_a_hostile_name_is_text_wherever_it_stands(page: report.Page):
    outside = re.sub(r"<script.*?</script>", "", page.html, flags=re.S)
    assert "alert(" in outside
    assert outside.count("alert(1)") == outside.count(SHOWN)


def test_nothing_that_is_missing_shows_as_a_word(page: report.Page):
    shown = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page.html, flags=re.S)
    assert not {"None", "nan", "null", "undefined"} & set(shown.split())


def test_a_wide_window_is_said_and_a_narrow_one_is_not(
    page: report.Page, tmp_path: Path, html_of: Callable[[report.Places], str]
):
    assert "In its window a step sees 100 % of the response before it; 100 % of steps see all of it." in page.html
    assert page.html.count("lalp is close to step_mean") == 2
    places = write(tmp_path, World())
    counts = json.loads(places.scored.read_text())
    counts["window_share"] |= {"share": 0.33, "share_whole": 0.125, "close_to_step_mean": False}
    places.scored.write_text(json.dumps(counts))
    narrow = html_of(places)
    assert "In its window a step sees 33 % of the response before it; 12 % of steps see all of it." in narrow
    assert "close to step_mean" not in narrow


def test_the_steps_that_a_student_learned_are_shown_where_they_were_scored(
    tmp_path: Path, page: report.Page, html_of: Callable[[report.Places], str]
):
    assert "Which steps were learned?" in page.html
    assert "Steps that the student of lalp learned most and least" in page.html
    assert page.html.count("<td>1.000</td><td>-2.000</td><td>-1.000</td>") == 5
    places = write(tmp_path, World())
    table_files.write(tables.LEARNED, pl.DataFrame(schema=tables.LEARNED.schema), places.learned)
    assert "learned?" not in html_of(places)


def test_there_is_one_place_for_what_changed(page: report.Page):
    assert (page.html.count(report.CHANGES), page.html.count(report.CHANGES_END)) == (1, 1)
    assert page.html.index(report.CHANGES) < page.html.index(report.CHANGES_END)


def test_the_same_outputs_give_the_same_bytes(page: report.Page, places: report.Places):
    again = render(places)
    assert again.html == page.html
    assert again.pngs == page.pngs


@pytest.mark.slow
def test_the_page_stays_small_whatever_the_texts(tmp_path: Path, html_of: Callable[[report.Places], str]):
    # 120 kB of each prompt could be shown, which is more than there is room for.
    world = World(n_prompts=60, teachers=("ann", "bob"), text=lambda p, t: ["漢" * 200_000])
    html = html_of(write(tmp_path, world))
    assert len(html.encode()) < 10 * 10**6
    data = json.loads(Reader(html).scripts[0])
    assert data["explorer"]["left_out"] > 0


@pytest.mark.slow
def test_the_page_stays_small_whatever_the_pool(tmp_path: Path, html_of: Callable[[report.Places], str]):
    teachers, domains = tuple(f"teacher {i}" for i in range(50)), tuple(f"domain {i}" for i in range(40))
    html = html_of(write(tmp_path, World(n_prompts=400, teachers=teachers, domains=domains)))
    assert len(html.encode()) < 10 * 10**6
    assert len(Reader(html).scripts[0].encode()) < 2 * 10**6


@pytest.mark.slow
def test_the_page_stays_small_however_many_teachers_and_sources(
    tmp_path: Path, html_of: Callable[[report.Places], str]
):
    places = write(tmp_path, World(n_prompts=2, teachers=tuple(f"teacher {i} {'x' * 50}" for i in range(3_000))))
    source = json.loads((places.ingest / "sources.json").read_text())["a.jsonl"]
    (places.ingest / "sources.json").write_text(json.dumps({f"{i} {'y' * 80}.jsonl": source for i in range(50_000)}))
    html = html_of(places)
    assert len(html.encode()) < 10 * 10**6
    assert "49,800 more sources" in html
    assert "The 200 best are listed" in html


def test_a_page_of_one_trace_and_no_evaluation_is_whole(tmp_path: Path, html_of: Callable[[report.Places], str]):
    places = write(tmp_path, World(n_prompts=1, teachers=("ann", "bob")))
    table_files.write(
        tables.EVALUATIONS, table_files.read(tables.EVALUATIONS, places.evaluations).clear(), places.evaluations
    )
    places.accuracies.write_text("[]")
    places.curves.write_text("[]")
    html = html_of(places)
    Reader(html)
    assert "No student was evaluated" in html


def test_no_heading_stands_alone(tmp_path: Path, html_of: Callable[[report.Places], str]):
    """A section whose figures have nothing to show says so."""
    places = write(tmp_path, World(n_prompts=1, teachers=("ann", "bob")))
    for table, path in (
        (tables.EVALUATIONS, places.evaluations),
        (tables.TEACHERS, places.select / "teachers.parquet"),
    ):
        table_files.write(table, table_files.read(table, path).clear(), path)
    places.accuracies.write_text("[]")
    places.curves.write_text("[]")
    html = re.sub(r"<(script|style|svg|select|form).*?</\1>", "", html_of(places), flags=re.S)
    for section in re.findall(r"<section.*?</section>", html, flags=re.S):
        content = re.sub(r"<h[23].*?</h[23]>|<summary.*?</summary>|<thead.*?</thead>|<[^>]+>", " ", section, flags=re.S)
        assert content.split(), section
    assert "No teachers are ranked: no two of them have a candidate for the same prompt." in html
    assert "No student was trained." in html
    # A task's heading, or a metric's, comes with its rows.
    assert not re.search(r"<h3>[^<]*</h3>\s*(<h|</section)", html)


def test_teachers_that_are_not_compared_are_named_with_the_reason(
    tmp_path: Path, html_of: Callable[[report.Places], str]
):
    places = write(tmp_path, World(n_prompts=30))
    path = places.select / tables.TEACHERS.file
    apart = pl.when(pl.col("teacher") == HOSTILE)
    columns = (
        "mean",
        "ci_low",
        "ci_high",
        "rank",
        "rank_low",
        "rank_high",
        "p_above_next",
        "n_with_next",
        "worth_next",
    )
    changed = table_files.read(tables.TEACHERS, path).with_columns(
        *(apart.then(None).otherwise(pl.col(c)).alias(c) for c in columns),
        component=apart.then(2).otherwise(1),
        n_met=apart.then(0).when(pl.col("teacher") == "bob").then(20).otherwise(30),
    )
    changed = changed.with_columns(worth_next=pl.when(pl.col("teacher") == "ann").then(12.0))
    types = tables.TEACHERS.schema
    table_files.write(tables.TEACHERS, changed.select(pl.col(c).cast(t) for c, t in types.items()), path)
    limits = html_of(places).split('<section id="limits">')[1]
    assert f"{SHOWN} is not ranked: no other teacher was on any of its 30 prompts." in limits
    assert "The comparison of ann with the next in rank is worth fewer than 20 prompts" in limits
    assert "Not every teacher answered every prompt" in limits


def test_the_hash_is_that_of_the_policy():
    # printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert script_hash("alert(1)") == "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
