"""params.yaml: what is refused, and in which words."""

from pathlib import Path

import pytest

from stepsift import params
from stepsift.errors import ParamsError


def problems(raw: object) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        params.parse(raw)
    return caught.value.problems


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"scoer": {}}, "unknown key 'scoer', did you mean 'score'?; known are student, ingest"),
        ({"score": {"windw": 4}}, "unknown key 'score.windw', did you mean 'window'?; known in 'score' are window"),
        (
            {"ingest": {"files": [{"match": "*", "mtch": 1}]}},
            "unknown key 'ingest.files.0.mtch', did you mean 'match'?",
        ),
        ({"ingest": {"fields": {"promt": "x"}}}, "unknown key 'ingest.fields.promt', did you mean 'prompt'?"),
        ({"ingest": {"files": [{"teacher": "x"}]}}, "key 'ingest.files.0.match' is missing"),
        ({"ingest": None}, "'ingest' is None: must hold keys and their values"),
        ({"score": {"window": 0}}, "'score.window' is 0: must be greater than 0"),
        ({"score": {"window": 1.5}}, "'score.window' is 1.5: a number of steps is whole"),
        ({"score": {"window": "x"}}, "'score.window' is 'x': must be a valid number"),
        ({"score": {"passes": []}}, "'score.passes' is []: name 'local', 'full' or both"),
        ({"score": {"passes": ["locl"]}}, "'score.passes.0' is 'locl': must be 'local' or 'full'"),
        ({"segment": {"min_step_chars": 90, "max_step_chars": 80}}, "min_step_chars (90) must be below max_step_chars"),
        ({"select": {"selectors": ["lalpp"]}}, "'lalpp' is not a selector, did you mean 'lalp'?"),
        ({"select": {"selectors": ["length"]}}, "'length' is not a selector"),
        ({"select": {"selectors": ["lalp", "lalp"]}}, "'lalp' stands more than once"),
        ({"select": {"seed": -1}}, "'select.seed' is -1: must be greater than or equal to 0"),
        ({"train": {"seeds": 0}}, "'train.seeds' is 0: must be a list"),
        ({"train": {"seeds": [1, 1]}}, "'1' stands more than once"),
        ({"evaluate": {"tasks": []}}, "'evaluate.tasks' is []: must not be empty"),
        ({"student": {"template_date": "soon"}}, "'student.template_date' is 'soon': must be a date such as"),
        ([], "must hold sections (student, ingest, segment"),
    ],
)
def test_a_problem_is_one_sentence_with_the_way_out(raw: object, said: str):
    sentences = problems(raw)
    assert len(sentences) == 1
    assert said in sentences[0]
    assert "\n" not in sentences[0]


def test_every_problem_is_named():
    assert len(problems({"score": {"window": 0, "dtype": "int8"}, "train": {"epochs": -1}})) == 3


@pytest.mark.parametrize(("window", "read"), [(4, 4), (1.0, 1), (0.25, 0.25)])
def test_a_window_is_a_number_of_steps_or_a_fraction(window: float, read: float):
    value = params.parse({"score": {"window": window}}).score.window
    assert value == read
    assert isinstance(value, type(read))


def test_a_date_without_quotes_is_read(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("student: {template_date: 2025-03-01}\n")
    assert params.load(path).student.template_date == "2025-03-01"


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is not valid YAML"), ("- 1\n", "must hold sections"), ("", "must hold sections")]
)
def test_a_file_that_is_no_mapping_is_one_sentence(tmp_path: Path, text: str, said: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml") as caught:
        params.load(path)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_missing_file_says_where_to_run(tmp_path: Path):
    with pytest.raises(ParamsError, match="run stepsift in the repository's root folder"):
        params.load(tmp_path / "params.yaml")


def test_keys_that_dvc_has_to_see_are_asked_for(tmp_path: Path):
    path = tmp_path / "params.yaml"
    sections = "".join(f"{s}: {{}}\n" for s in params.Params.model_fields if s not in ("tracking", "report"))
    path.write_text(sections)
    assert [s.split("'")[1] for s in params.missing_for_dvc(path)] == ["report", "student.path", "select.selectors"]
