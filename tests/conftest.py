"""Fixtures that the tests of several rooms share, and what makes a test slow (helpers/quick.py)."""

import functools
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from helpers.once import SharedFolder
from helpers.quick import SLOW_FIXTURES, Guard, is_heavy, is_slow

if TYPE_CHECKING:
    from helpers.judges import SharedJudges
    from helpers.score_cases import Loaded

_guard = Guard()
hypothesis.settings.register_profile("stepsift", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("stepsift")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests that load no model and start no process")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until the tests are collected: all that is imported stays
    # DVC would else start a process of its own behind each command, which imports it anew to report that to its makers.
    os.environ["DVC_NO_ANALYTICS"] = "1"
    is_controller = bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")
    if not config.getoption("quick") and not is_controller:
        import torch

        torch.set_num_threads(1)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """System tests wait for a seventh of their time: one process more than there are processors."""
    return (os.cpu_count() or 1) + 1 if config.getoption("markexpr") == "system" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules of which no test would run are not imported."""
    is_tests = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if config.getoption("markexpr") == "system":
        return True if is_tests and "mark.system" not in collection_path.read_text(encoding="utf-8") else None
    if not config.getoption("quick"):
        return None
    return True if collection_path.name == "system" or (is_tests and is_heavy(collection_path)) else None


@pytest.hookimpl(tryfirst=True)  # before -m is applied
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("quick") and "slow" not in config.getoption("markexpr"):
        return
    slow = []
    for item in items:
        if is_heavy(item.path) or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if is_slow(item):
            slow.append(item)
    if config.getoption("quick") and slow:
        config.hook.pytest_deselected(items=slow)
        dropped = set(slow)
        items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Garbage is looked for in what tests make alone: each training has it collected, in 800,000 objects otherwise."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _guard.watching(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _guard.watching(item):
        return (yield)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> SharedFolder:
    """A folder of this run of the tests, the same for all of pytest-xdist's workers."""
    own = tmp_path_factory.getbasetemp()
    return SharedFolder((own.parent if hasattr(request.config, "workerinput") else own) / "shared")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    import huggingface_hub

    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture(scope="session")
def tokenizer_folder(shared_folder: SharedFolder) -> Callable[[str], Path]:
    """`tokenizer_folder(name)`: a folder with that tokenizer of helpers.students.TOKENIZERS, for reading only."""
    from helpers.students import write_tokenizer

    return lambda name: shared_folder.get(f"tokenizer-{name}", functools.partial(write_tokenizer, name))


@pytest.fixture(scope="session")
def student_folder(shared_folder: SharedFolder, tokenizer_folder: Callable[[str], Path]) -> Callable[..., Path]:
    """`student_folder(family, tokenizer="plain")`: a folder with a random model of helpers.students.FAMILIES and a
    tokenizer, for reading only; copy it before changing a file in it."""
    from helpers.students import write_student

    def folder(family: str, tokenizer: str = "plain") -> Path:
        source = tokenizer_folder(tokenizer)
        return shared_folder.get(f"student-{family}-{tokenizer}", functools.partial(write_student, family, source))

    return folder


@pytest.fixture(scope="session")
def mlflow_database(shared_folder: SharedFolder) -> Path:
    """MLflow's tables without a run, which take a second to make; to be copied."""

    def make(folder: Path) -> None:
        from mlflow import MlflowClient

        folder.mkdir()
        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments(max_results=1)

    return shared_folder.get("mlflow", make) / "mlflow.db"


@pytest.fixture(scope="session")
def _shared_judges() -> "Iterator[SharedJudges]":
    from helpers.judges import SharedJudges

    judges = SharedJudges()
    yield judges
    judges.end()


@pytest.fixture
def shared_judges(_shared_judges: "SharedJudges") -> Iterator[None]:
    """Answers are judged by processes that live on from test to test."""
    with _shared_judges.lent():
        yield


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """The command line makes the package say more; what follows in this process is not to know of it."""
    yield
    logging.getLogger("stepsift").setLevel(logging.NOTSET)


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, list[str], list[str]]]:
    """`run_cli("score", ..)` in this process: exit code, lines of standard output, lines of standard error."""
    from stepsift.commands import main as cli

    def call(*arguments: object) -> tuple[object, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["stepsift", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code: object = 0
        except SystemExit as e:
            code = e.code
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return call


@pytest.fixture(scope="session")
def load_student(student_folder: Callable[..., Path]) -> "Callable[..., Loaded]":
    """`load_student(family, tokenizer, dtype="float32")`, loaded once."""
    from helpers import reference
    from helpers.score_cases import Loaded, make_case
    from stepsift import params
    from stepsift.student import load_model, load_renderer, locate

    @functools.cache
    def load(family: str, tokenizer: str = "plain", dtype: str = "float32") -> Loaded:
        settings = params.Student(path=str(student_folder(family, tokenizer)))
        files = locate(settings)
        renderer = load_renderer(files, settings)
        return Loaded(load_model(files, dtype, "cpu"), reference.load(files.folder), renderer, make_case(renderer))

    return load
