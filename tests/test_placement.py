"""Where the layers of a student go, by hand; what fits, in sentences; which devices a process sees."""

import os
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.placement import Memory, map_layers, what_fits
from stepsift.score import setup
from stepsift.student import StudentFiles, check_memory, count_parameters, find, load_model, take_devices


class Layer(nn.Module):
    """A layer of 1,000 bytes."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(25, 10, bias=False)


class Decoder(nn.Module):
    """Embeddings and a norm of 100 bytes each, and layers between them."""

    def __init__(self, n_layers: int):
        super().__init__()
        self.embed = nn.Embedding(5, 5)
        self.layers = nn.ModuleList([Layer() for _ in range(n_layers)])
        self.norm = nn.Linear(5, 5, bias=False)


class Model(nn.Module):
    """A decoder and a head of 300 bytes."""

    _no_split_modules = ("Layer",)

    def __init__(self, n_layers: int):
        super().__init__()
        self.decoder = Decoder(n_layers)
        self.head = nn.Linear(25, 3, bias=False)


def devices(n_layers: int, placement, gpus: tuple[int, ...], main: int = 10**6) -> list:
    """Where the layers go if so many bytes may be used of each GPU; what is no layer is on the first."""
    places = map_layers(Model(n_layers), placement, Memory(tuple(round(n / 0.8) for n in gpus), main))
    layers = [f"decoder.layers.{i}" for i in range(n_layers)]
    assert {name: d for name, d in places.items() if name not in layers} == {
        "decoder.embed": 0,
        "decoder.norm": 0,
        "head": 0,
    }
    return [places[name] for name in layers]


def test_layers_are_spread_by_the_room_that_each_gpu_has():
    # 500 bytes lie outside of the layers, so the first of two has room for 4,000 of 8,000, and of three for a third.
    assert devices(4, "spread", (4_500, 4_000)) == [0, 0, 1, 1]
    assert devices(6, "spread", (3_500, 3_000, 3_000)) == [0, 0, 1, 1, 2, 2]
    assert devices(4, "spread", (1_500, 3_000)) == [0, 1, 1, 1]
    assert devices(2, "spread", (500, 2_000)) == [1, 1]
    assert devices(1, "spread", (1_499, 999, 2_000)) == [2]


def test_what_a_gpu_has_no_room_for_waits_in_memory():
    # Of 3,500 bytes 500 are taken, and 1,000 stay free for the layer that is brought there.
    assert devices(4, "cpu_offload", (3_500,)) == [0, 0, "cpu", "cpu"]
    assert devices(4, "cpu_offload", (5_500,)) == [0, 0, 0, 0]
    assert devices(2, "cpu_offload", (1_500,)) == ["cpu", "cpu"]


@given(st.integers(1, 12), st.lists(st.integers(0, 9_000), min_size=1, max_size=4))
def test_no_gpu_is_given_more_than_it_has_room_for(n_layers, gpus):
    gpus = (gpus[0] + 500, *gpus[1:])
    try:
        places = devices(n_layers, "spread", gpus)
    except StudentError:
        assert sum(gpus) - 500 < 1_000 * n_layers + 1_000 * len(gpus), "there was room to spare"
        return
    assert places == sorted(places)
    for gpu, room in enumerate(gpus):
        assert 1_000 * places.count(gpu) + 500 * (gpu == 0) <= room + 1


def test_what_does_not_fit_is_a_sentence():
    with pytest.raises(StudentError, match=r"is spread, but weights of .* set it to cpu_offload, or use"):
        devices(9, "spread", (4_500, 4_000))
    with pytest.raises(StudentError, match=r"memory 0\.0 MB\); use more or larger devices$"):
        devices(9, "cpu_offload", (4_500,), main=100)
    with pytest.raises(StudentError, match=r"is spread, which needs a GPU, and torch sees none; set it to one"):
        map_layers(Model(1), "spread", Memory((), 10**9))


def test_what_fits_in_sentences():
    assert what_fits(32_000_000_000, "bfloat16", Memory((60 * 10**9, 60 * 10**9), 30 * 10**9)) == (
        "32,000.0 million weights take 64.0 GB in bfloat16: one does not fit, of 48.0 GB on one GPU; spread fits, "
        "of 96.0 GB on 2 GPUs; cpu_offload fits, of 78.0 GB on a GPU and in memory (student.placement)"
    )
    assert what_fits(600_000, "float32", Memory((), 21 * 10**9)) == (
        "0.6 million weights take 2.4 MB in float32, of 21.0 GB of memory; torch sees no GPU"
    )


def test_check_says_what_the_student_takes(student_folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    source = find(params.Student(path=str(student_folder("llama"))))
    n = count_parameters(source.files)
    assert n == sum(p.numel() for p in load_model(source.files, "float32", "cpu").parameters())
    finding = check_memory(source, "float32")
    assert (finding.problems, finding.lines[0].split("  ")[0]) == ([], "memory")
    spread = find(params.Student(path=str(student_folder("llama")), placement="spread"))
    assert check_memory(spread, "float32").problems[0].startswith("student.placement is spread, which needs a GPU")


def test_files_without_readable_weights_are_not_counted(tmp_path):
    assert count_parameters(StudentFiles(tmp_path)) is None
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    assert count_parameters(StudentFiles(tmp_path)) is None
    assert count_parameters(StudentFiles(tmp_path, "model.gguf")) is None


def test_weights_that_are_cut_are_a_problem_and_files_that_nobody_loads_are_none(student_folder, tmp_path):
    folder = shutil.copytree(student_folder("llama"), tmp_path / "student")
    source = find(params.Student(path=str(folder)))
    (folder / "consolidated.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    assert check_memory(source, "float32").problems == []
    weights = folder / "model.safetensors"
    for content in (weights.read_bytes()[:-1], weights.read_bytes()[:1_000], b""):
        weights.write_bytes(content)
        [problem] = check_memory(source, "float32").problems
        assert problem.startswith(f"the weights in {weights} cannot be read (")
        assert problem.endswith("); copy or download them anew")


def test_a_divided_student_needs_a_gpu_to_score_and_none_to_be_trained(student_folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    settings = params.Student(path=str(student_folder("llama")), placement="cpu_offload")
    with pytest.raises(StudentError, match="which needs a GPU"):
        load_model(find(settings).files, "float32", "cpu", "cpu_offload")
    assert find(settings).load_model("float32", "cpu").device.type == "cpu"
    with pytest.raises(StudentError, match=r"placement is cpu_offload, but score\.engine: ray gives each student one"):
        setup.load(settings, params.Score(engine="ray"), student_folder("llama"))


@pytest.mark.parametrize(
    ("n_devices", "n_processes", "most", "expected"),
    [
        (8, 4, None, ["0,1", "2,3", "4,5", "6,7"]),
        (8, 3, None, ["0,1", "2,3", "4,5"]),
        (4, 1, None, ["0,1,2,3"]),
        (2, 3, None, ["0", "1", "0"]),
        (8, 2, 1, ["0", "1"]),
    ],
)
def test_processes_share_the_devices(n_devices, n_processes, most, expected, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    for number, names in enumerate(expected):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        take_devices(number, n_processes, most)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == names
