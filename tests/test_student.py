"""Finding, fingerprinting and loading a student; each mistake gives one clear sentence."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from helpers.student_files import copy_tokenizer, write_gguf
from stepsift import params, student
from stepsift.core.errors import StudentError
from stepsift.student import (
    StudentFiles,
    context_tokens,
    fingerprint,
    load_config,
    load_model,
    load_renderer,
    locate,
    pick_device,
    take_share,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(student_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """A Llama with a template, to be changed."""
    path = tmp_path / "student"
    shutil.copytree(student_folder("llama", "llama3"), path)
    return path


def settings(path: Path, **others) -> params.Student:
    return params.Student(path=str(path), **others)


def test_folder_is_found_and_loaded(folder: Path):
    files = locate(settings(folder))
    assert (files.folder, files.gguf_file, files.tokenizer_in_gguf) == (folder, None, False)
    model = load_model(files, "bfloat16", "cpu")
    assert model.dtype == torch.bfloat16 and not model.training
    assert load_renderer(files, settings(folder)).has_template


def one_sentence(error: pytest.ExceptionInfo[StudentError]) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 600, text
    return text


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "holds no weights"),
        ("tokenizer_config.json", "holds no tokenizer_config.json"),
    ],
)
def test_missing_file(folder: Path, missing: str, says: str):
    (folder / missing).unlink()
    with pytest.raises(StudentError, match=says) as e:
        locate(settings(folder))
    assert "student.path" in one_sentence(e)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b""])
def test_broken_json(folder: Path, name: str, content: bytes):
    (folder / name).write_bytes(content)
    with pytest.raises(StudentError, match=f"{name} is not valid JSON") as e:
        locate(settings(folder))
    one_sentence(e)


def test_nothing_there_or_another_file(tmp_path: Path):
    with pytest.raises(StudentError, match="where there is nothing; name a folder"):
        locate(settings(tmp_path / "none"))
    (tmp_path / "model.pt").touch()
    with pytest.raises(StudentError, match=r"neither \.gguf nor \.hub\.yaml"):
        locate(settings(tmp_path / "model.pt"))


def test_a_folder_with_a_gguf_file_and_no_tokenizer_says_what_to_name(tmp_path: Path):
    (tmp_path / "model.gguf").touch()
    with pytest.raises(StudentError, match=r"holds model\.gguf and no tokenizer; name the file itself") as e:
        locate(settings(tmp_path))
    assert f"student.path: {tmp_path / 'model.gguf'}" in one_sentence(e)
    assert locate(settings(tmp_path / "model.gguf")).tokenizer_in_gguf
    (tmp_path / "model-q8.gguf").touch()
    with pytest.raises(StudentError, match=r"holds 2 \.gguf files \(model-q8\.gguf, model\.gguf\); name one") as e:
        locate(settings(tmp_path))
    one_sentence(e)


@pytest.mark.parametrize("config", ['{"base_model_name_or_path": "org/base-7b"}', "{}", "[]", "{"])
def test_an_adapter_is_no_student(folder: Path, tmp_path: Path, config: str):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(config)
    (adapter / "adapter_model.safetensors").touch()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, adapter)
    of = " of org/base-7b" if "org" in config else ""
    with pytest.raises(StudentError, match=f"holds a LoRA adapter{of} and no model; merge it into its base model") as e:
        locate(settings(adapter))
    one_sentence(e)
    # Some keep the base model's configuration beside it; a model with an adapter's file beside it is one.
    shutil.copy(folder / "config.json", adapter)
    with pytest.raises(StudentError, match="holds a LoRA adapter"):
        locate(settings(adapter))
    shutil.copy(folder / "model.safetensors", adapter)
    assert locate(settings(adapter)).folder == adapter


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_broken_weights(folder: Path, damage: str):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\x7f" * 1_000}[damage])
    with pytest.raises(StudentError, match="cannot be loaded") as e:
        load_model(locate(settings(folder)), "float32", "cpu")
    one_sentence(e)


def test_incomplete_weights_are_not_made_up(folder: Path):
    """transformers would fill them with random numbers and go on."""
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StudentError, match=r"lack 1 of .* model\.layers\.1\.mlp\.up_proj\.weight") as e:
        load_model(locate(settings(folder)), "float32", "cpu")
    one_sentence(e)


def test_configuration_of_another_model(folder: Path):
    config = json.loads((folder / "config.json").read_text())
    for change, says in (({"hidden_size": 64}, "cannot be loaded"), ({"model_type": "nonesuch"}, "cannot be loaded")):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(StudentError, match=says) as e:
            load_model(locate(settings(folder)), "float32", "cpu")
        one_sentence(e)


def test_broken_configuration_is_told_in_one_line_and_not_blamed_on_the_tokenizer(folder: Path):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))
    for load in (lambda f: load_renderer(f, settings(folder)), load_config):
        with pytest.raises(StudentError, match=r"the configuration in .*hidden_size.*\bint\b.*'wide'") as e:
            load(locate(settings(folder)))
        assert "\n" not in str(e.value)
        assert len(str(e.value)) < 500


def test_broken_tokenizer(folder: Path):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(StudentError, match=r"the tokenizer in .* cannot be loaded") as e:
        load_renderer(locate(settings(folder)), settings(folder))
    one_sentence(e)


# --- pins


def pin(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "model.hub.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"repo": "a/b", "revision": "main"}, "revision is 'main'; give the commit's 40 hexadecimal digits"),
        ({"repo": "a/b", "revision": REVISION[:-1]}, "40 hexadecimal digits"),
        ({"repo": "a/b", "revision": REVISION.upper()}, "40 hexadecimal digits"),
        ({"repo": "a/b"}, "must hold the keys repo and revision"),
        ({"repo": "a/b", "revision": REVISION, "branch": "main"}, "must hold the keys repo and revision"),
        (["a/b", REVISION], "must hold the keys repo and revision"),
        ("", "must hold the keys repo and revision"),
        ("repo: [", "is not valid YAML"),
        ("revision: 2024-99-99", "is not valid YAML: month must be in 1..12"),
        ({"repo": "not a repo!", "revision": REVISION}, "cannot be downloaded"),
    ],
)
def test_wrong_pin(tmp_path: Path, content: object, says: str):
    with pytest.raises(StudentError, match=says) as e:
        locate(settings(pin(tmp_path, content)))
    one_sentence(e)


def snapshot(hub: Path) -> Path:
    return hub / "models--tiny--llama" / "snapshots" / REVISION


def test_pinned_model_that_is_not_here(tmp_path: Path, hub: Path):
    with pytest.raises(StudentError, match=f"tiny/llama at revision {REVISION} is not on this machine") as e:
        locate(settings(pin(tmp_path, {"repo": "tiny/llama", "revision": REVISION})))
    one_sentence(e)


def test_pinned_model_is_taken_from_the_cache(tmp_path: Path, hub: Path, folder: Path):
    shutil.copytree(folder, snapshot(hub))
    chosen = settings(pin(tmp_path, {"repo": "tiny/llama", "revision": REVISION}))
    files = locate(chosen)
    assert files.folder == snapshot(hub)
    assert fingerprint(files) == fingerprint(locate(settings(folder)))
    assert load_renderer(files, chosen).has_template
    load_model(files, "float32", "cpu")


@pytest.mark.parametrize("missing", [None, "model.safetensors", "tokenizer.json", "model-00002-of-00002.safetensors"])
def test_network_is_asked_only_for_what_is_not_here(tmp_path: Path, hub: Path, folder: Path, monkeypatch, missing):
    shutil.copytree(folder, snapshot(hub))
    if missing and "of" in missing:
        index = {"weight_map": {"lm_head.weight": missing, "model.norm.weight": "model.safetensors"}}
        (snapshot(hub) / "model.safetensors.index.json").write_text(json.dumps(index))
    elif missing:
        (snapshot(hub) / missing).unlink()
    asked = []
    local = huggingface_hub.snapshot_download

    def download(repo: str, **arguments) -> str:
        if not arguments.get("local_files_only"):
            asked.append(repo)
        return local(repo, **arguments)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with contextlib.suppress(StudentError):
        locate(settings(pin(tmp_path, {"repo": "tiny/llama", "revision": REVISION})))
    assert asked == (["tiny/llama"] if missing else [])


def test_pinned_gguf_file_must_be_there(tmp_path: Path, hub: Path):
    snapshot(hub).mkdir(parents=True)
    chosen = settings(pin(tmp_path, {"repo": "tiny/llama", "revision": REVISION, "gguf_file": "m.gguf"}))
    with pytest.raises(StudentError, match=r"gguf_file 'm\.gguf' is not in") as e:
        locate(chosen)
    one_sentence(e)
    (snapshot(hub) / "m.gguf").touch()
    assert locate(chosen).gguf_file == "m.gguf"


# --- fingerprint


def test_fingerprint_knows_content_and_not_place(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    before = fingerprint(locate(settings(folder)))
    assert before == fingerprint(locate(settings(tmp_path / "elsewhere" / "copy")))
    (folder / "README.md").write_text("says nothing to a model")
    assert before == fingerprint(locate(settings(folder)))


def test_fingerprint_changes_with_every_file_that_counts(folder: Path):
    seen = {fingerprint(locate(settings(folder)))}
    changes = ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
    for name in changes:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b" " if name == "model.safetensors" else content + b" ")
        seen.add(fingerprint(locate(settings(folder))))
    for name in (
        "merges.txt",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "adapter_config.json",
    ):
        (folder / name).write_text("{}")
        seen.add(fingerprint(locate(settings(folder))))
    assert len(seen) == 1 + len(changes) + 4


def test_fingerprint_changes_with_one_bit_of_a_weight(folder: Path):
    before = fingerprint(locate(settings(folder)))
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-5_000] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert fingerprint(locate(settings(folder))) != before


# --- GGUF


def test_gguf_file_alone_brings_its_tokenizer(tmp_path: Path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    files = locate(settings(tmp_path / "tiny.gguf"))
    assert (files.folder, files.gguf_file, files.tokenizer_in_gguf) == (tmp_path, "tiny.gguf", True)


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/students"


def test_folder_with_a_gguf_file_and_a_tokenizer_is_loaded(folder: Path, tmp_path: Path, cache: Path):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    write_gguf(model, tmp_path / "tiny.gguf")
    copy_tokenizer(folder, tmp_path)
    chosen = settings(tmp_path)
    files = locate(chosen)
    assert (files.folder, files.gguf_file, files.tokenizer_in_gguf) == (tmp_path, "tiny.gguf", False)
    ids = torch.tensor([load_renderer(files, chosen).prompt([{"role": "user", "content": "What is 7 * 6?"}])])
    with torch.no_grad():
        torch.testing.assert_close(load_model(files, "float32", "cpu")(ids).logits, model(ids).logits)
    before = fingerprint(files)
    content = bytearray((tmp_path / "tiny.gguf").read_bytes())
    content[-100] ^= 1
    (tmp_path / "tiny.gguf").write_bytes(content)
    assert fingerprint(files) != before


def test_a_gguf_file_is_dequantised_once_and_quietly(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    write_gguf(model, tmp_path / "tiny.gguf")
    copy_tokenizer(folder, tmp_path)
    files = locate(settings(tmp_path))
    before = fingerprint(files)
    read: list[str] = []
    load = student._load_weights

    def count(place: StudentFiles, dtype: str) -> torch.nn.Module:
        read.append(place.gguf_file or "folder")
        return load(place, dtype)

    monkeypatch.setattr(student, "_load_weights", count)
    capfd.readouterr()
    for dtype in ("float32", "bfloat16"):
        kept = [load_model(files, dtype, "cpu").state_dict() for _ in range(2)]
        direct = load(files, dtype).state_dict()
        for state in kept:
            assert list(state) == list(direct)
            assert all(
                torch.equal(state[name], direct[name]) and state[name].dtype == direct[name].dtype for name in state
            )
    assert "it/s" not in capfd.readouterr().err
    assert read == ["tiny.gguf", "folder", "folder"] * 2
    assert load_config(files).max_position_embeddings == model.config.max_position_embeddings
    assert (len(list(cache.iterdir())), fingerprint(files)) == (3, before)
    # Another content is another student, whatever it is called.
    write_gguf(AutoModelForCausalLM.from_config(model.config), tmp_path / "tiny.gguf")
    other = load_model(files, "float32", "cpu").state_dict()
    assert all(torch.equal(other[name], weights) for name, weights in load(files, "float32").state_dict().items())
    assert not torch.equal(other["lm_head.weight"], model.lm_head.weight)
    assert len(list(cache.iterdir())) == 5


def test_where_nothing_can_be_kept_the_gguf_file_is_read_every_time(folder: Path, tmp_path: Path, cache: Path):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    write_gguf(model, tmp_path / "tiny.gguf")
    copy_tokenizer(folder, tmp_path)
    cache.parent.write_text("a file where a folder is needed")
    loaded = load_model(locate(settings(tmp_path)), "float32", "cpu")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_a_tokenizer_that_a_folder_does_not_keep_is_read_from_the_gguf_file(
    tmp_path: Path, tokenizer_folder: Callable[[str], Path], cache: Path, monkeypatch: pytest.MonkeyPatch
):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    read: list[str] = []
    inside = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder("qwen2"))

    def load(pretrained_model_name_or_path: str, gguf_file: str = "folder", **_: object) -> object:
        read.append(gguf_file)
        return (
            inside if gguf_file != "folder" else PreTrainedTokenizerFast.from_pretrained(pretrained_model_name_or_path)
        )

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", load)
    chosen = settings(tmp_path / "tiny.gguf")
    for _ in range(2):
        assert load_renderer(locate(chosen), chosen).tokenizer.get_vocab() == inside.get_vocab()
    # Read from the file, compared with what was kept, loaded; then loaded again.
    assert read == ["tiny.gguf", "folder", "folder", "folder"]
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF of another content")
    monkeypatch.setattr(student, "_is_same_tokenizer", lambda one, other: False)
    read.clear()
    assert load_renderer(locate(chosen), chosen).tokenizer is inside
    assert read == ["tiny.gguf", "folder", "tiny.gguf"]


def test_broken_gguf_file(folder: Path, tmp_path: Path, cache: Path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(StudentError, match="cannot be loaded") as e:
        load_model(locate(settings(tmp_path / "tiny.gguf")), "float32", "cpu")
    one_sentence(e)


# --- device and context


def test_device():
    assert pick_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        assert pick_device("auto") == "cpu"
        with pytest.raises(StudentError, match="no CUDA device"):
            pick_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(StudentError, match="no Apple GPU; set device: auto"):
            pick_device("mps")


@pytest.mark.parametrize(
    ("family", "asked", "limit"),
    [("llama", None, 2_048), ("llama", 100, 100), ("llama", 9_999, 2_048), ("gpt2", None, 1_024), ("mamba", 77, 77)],
)
def test_context(family: str, asked: int | None, limit: int):
    assert context_tokens(AutoConfig.for_model(family), params.Student(max_context_tokens=asked)) == limit


@pytest.mark.parametrize(
    ("visible", "devices", "taken"),
    [(None, 2, ["0", "1", "0"]), ("3", 1, ["3", "3", "3"]), ("5,GPU-7", 2, ["5", "GPU-7", "5"])],
)
def test_each_process_takes_a_visible_device_in_turn(
    visible: str | None, devices: int, taken: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    for number, expected in enumerate(taken):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        take_share(number, 3)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


def test_without_a_device_a_process_takes_its_share_of_the_processor(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    take_share(0, 3)
    take_share(1, 100)
    assert asked == [2, 1]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
