"""The report in a real browser: no error, no request, every control does what it says, and hostile text is text.

Needs Chromium and the package playwright (extra `browser`); says so where they are missing.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.report_outputs import HOSTILE, World, write
from stepsift import report

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed: make browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

EMOJI = "Let 😀👨‍👩‍👧 = 漢字。"
BREAKING = [
    f"{EMOJI}\n",
    "</script><script>window.hacked = 1</script>\n",
    '<img src="https://example.invalid/x.png" onerror="window.hacked = 2">\n',
    '"}]}; window.hacked = 3; //<!-- \\u2028 \u2028\n',
    "left \u202etfel\u202c right\n",
    "$\\frac{1}{2}$ and `code` and ```\nx < 1 && y\n```\n",
    "z" * 2_000_000,
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    world = World(
        n_prompts=6,
        teachers=("ann", "bob", HOSTILE),
        text=lambda p, t: BREAKING if (p, t) == (0, 0) else [f"Step {p} {t}.\n", "So it is 7."],
        prompt=f"How many? {HOSTILE} {EMOJI} \u202eabc",
    )
    file = folder / "index.html"
    html = report.render(HOSTILE, {"select": {"seed": 0}}, report.read(write(folder, world), 60)).html
    file.write_text(html, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Opened:
    """The page, and what it said and asked for since it was opened."""

    def __init__(self, browser: Any, file: Path, **context: Any):
        self.page = browser.new_context(**context).new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text))
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        self.page.wait_for_function("!document.querySelector('[data-figure]:not([data-drawn])')")

    def texts(self, selector: str) -> list[str]:
        return [t.strip() for t in self.page.locator(selector).all_inner_texts()]


@pytest.fixture(scope="module")
def opened(browser: Any, page_file: Path) -> Opened:
    return Opened(browser, page_file, viewport={"width": 1400, "height": 900})


@pytest.fixture(autouse=True)
def _as_opened(opened: Opened) -> None:
    opened.page.locator("#filters button[type=reset]").click()
    opened.page.wait_for_timeout(20)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_draws_without_an_error_or_a_request(browser: Any, page_file: Path, scheme: str, width: int):
    shown = Opened(browser, page_file, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert shown.said == []
    assert shown.requests == [page_file.as_uri()]
    # Nothing sticks out: only what scrolls by itself is wider than the window.
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.page.locator(".chart svg").count() == shown.page.locator("[data-figure]").count() > 5


def test_hostile_text_is_text(opened: Opened):
    page = opened.page
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed').length") == 0
    assert page.locator("script").count() == 3
    assert page.locator("h1").inner_text() == HOSTILE
    page.locator("#filters [name=text]").fill("window.hacked = 1")
    assert page.locator("#prompts li").count() == 1
    trace = page.locator(".candidate", has=page.locator("h4", has_text="ann")).locator(".trace")
    text = trace.inner_text()
    for piece in (
        "</script><script>window.hacked = 1</script>",
        'onerror="window.hacked = 2"',
        "⟨U+202E⟩tfel",
        "⟨U+2028⟩",
    ):
        assert piece in text
    assert "more characters" in text
    assert opened.said == []


def test_steps_hold_emoji_and_han_characters_whole(opened: Opened):
    opened.page.locator("#filters [name=text]").fill("window.hacked = 1")
    first = opened.page.locator(".candidate", has=opened.page.locator("h4", has_text="ann")).locator(".step").first
    assert first.evaluate("e => e.textContent") == f"{EMOJI}\n"


def test_every_choice_of_every_chart_is_drawn(opened: Opened):
    for figure in opened.page.locator("[data-figure]").all():
        picks = figure.locator(".pick select")
        if picks.count():
            before = figure.locator("svg").inner_html()
            picks.select_option(index=1)
            opened.page.wait_for_timeout(300)
            assert figure.locator("svg").inner_html() != before
    assert opened.said == []


def test_a_pointer_on_a_mark_tells_its_numbers(opened: Opened):
    opened.page.locator("#fig-accuracy .mark-symbol path").last.hover()
    opened.page.wait_for_selector("#vg-tooltip-element.visible")
    assert "accuracy" in opened.page.locator("#vg-tooltip-element").inner_text()


def test_the_theme_goes_round(opened: Opened):
    button, colour = opened.page.locator("#theme"), "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for _ in range(3):
        seen[button.inner_text()] = opened.page.evaluate(colour)
        button.click()
    assert set(seen) == {"theme: system", "theme: light", "theme: dark"}
    assert seen["theme: light"] != seen["theme: dark"]


@pytest.mark.parametrize(
    ("control", "value", "left"),
    [
        ("text", "step 3 0", 1),
        ("text", "STEP 3", 1),
        ("text", "nowhere", 0),
        # ann is lalp's choice for each third prompt, bob's for the next.
        ("teacher", "ann", 2),
        ("domain", "algebra", 3),
        ("kind", "at random", 6),
        # lalp's margins are 1.
        ("low", "0.5", 6),
        ("low", "1.5", 0),
        ("high", "0.5", 0),
    ],
)
def test_search_and_filters(opened: Opened, control: str, value: str, left: int):
    place = opened.page.locator(f"#filters [name={control}]")
    if place.evaluate("e => e.tagName") == "SELECT":
        place.select_option(value)
    else:
        place.fill(value)
    assert opened.page.locator("#prompts li").count() == left
    assert opened.page.locator("#found").inner_text().startswith(f"{left} of 6 prompts")
    if not left:
        assert "No prompt matches" in opened.page.locator("#shown").inner_text()


def test_another_selector_has_another_winner(opened: Opened):
    page = opened.page
    winner = page.locator(".candidate.won h4")
    before = winner.inner_text()
    page.locator("#filters [name=selector]").select_option("galp")
    assert winner.inner_text() != before
    assert "margin" in page.locator(".candidate.won").inner_text()
    page.locator("#filters [name=selector]").select_option("draw")
    assert page.locator("#prompts .chip", has_text="margin").count() == 0


def test_the_order_is_that_of_margins(opened: Opened):
    page = opened.page
    page.locator("#filters [name=order]").select_option("down")
    margins = [float(t.removeprefix("margin ")) for t in opened.texts("#prompts .chip") if t.startswith("margin")]
    assert margins == sorted(margins, reverse=True)
    assert len(margins) == 6


def test_colours_and_numbers_follow_what_is_asked(opened: Opened):
    page = opened.page
    step = page.locator(".candidate .step").first
    assert "background-color: rgb" in (step.get_attribute("style") or "")
    scales = set()
    for mode in ("local", "full", "difference"):
        page.locator("#display [name=mode]").select_option(mode)
        scales.add(page.locator("#scale-low").inner_text())
    assert len(scales) == 3
    page.locator("#display [name=numbers]").check()
    assert page.locator(".step .n").count() == page.locator(".step").count()
    assert page.locator(".step .n").first.inner_text().startswith("[−")
    page.locator("#display [name=numbers]").uncheck()
    page.locator("#display [name=mode]").select_option("local")
    assert page.locator(".step .n").count() == 0


def test_the_keyboard_reaches_prompts_and_steps(opened: Opened):
    page = opened.page
    first = page.locator("#prompts button").first
    first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#prompts button").nth(1).get_attribute("aria-current") == "true"
    page.locator("#filters [name=text]").fill("step 3 0")
    step = page.locator(".candidate").first.locator(".step").first
    step.focus()
    page.keyboard.press("ArrowRight")
    assert "step 2 of 2" in page.locator(".candidate").first.locator(".readout").inner_text()
    assert "nats per token" in page.locator(".candidate").first.locator(".readout").inner_text()
    # One stop of the Tab key in each trace.
    stops = page.locator(".candidate").first.locator(".step[tabindex='0']").count()
    assert stops == 1


def test_it_prints(opened: Opened, tmp_path: Path):
    pdf = opened.page.pdf(path=str(tmp_path / "page.pdf"))
    assert pdf.startswith(b"%PDF")
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#filters").is_visible()
    assert opened.page.locator(".candidate").first.is_visible()
    opened.page.emulate_media(media="screen")


def test_without_scripts_the_tables_are_there(browser: Any, page_file: Path):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(page_file.as_uri())
    assert "need JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("#training table").is_visible()
