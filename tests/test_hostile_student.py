"""A student from anybody: no code of it runs, nothing outside of its folder is loaded, nothing takes for ever.

What is loaded and what the fingerprint covers are compared by watching which files are opened.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from helpers.student_files import copy_tokenizer, write_gguf
from stepsift import params, render
from stepsift.core.errors import StudentError
from stepsift.core.limits import LimitReachedError, limited
from stepsift.render import Renderer
from stepsift.student import fingerprint, load_config, load_model, load_renderer, locate

MESSAGES = [{"role": "user", "content": "What is 7 * 6?"}]


@pytest.fixture
def folder(student_folder: Callable[..., Path], tmp_path: Path) -> Path:
    path = tmp_path / "student"
    shutil.copytree(student_folder("llama", "llama3"), path)
    return path


def settings(path: Path) -> params.Student:
    return params.Student(path=str(path))


def refused(path: Path) -> str:
    """What `locate` says, one sentence."""
    with pytest.raises(StudentError) as caught:
        locate(settings(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


OPENED: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], str | os.PathLike):
        OPENED.append(os.fspath(arguments[0]))


sys.addaudithook(_watch)


def test_every_file_that_is_loaded_is_part_of_the_fingerprint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "parts").mkdir()
    save_file(tensors, folder / "parts/one.safetensors", {"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(tensors, "parts/one.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "generation_config.json").write_text("{}")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates/tool.jinja").write_text("{{ messages }}")
    shutil.copy(folder / "parts/one.safetensors", folder / "some.safetensors")  # what `locate` looks for
    files = locate(settings(folder))
    monkeypatch.setattr(sys.modules[__name__], "OPENED", opened := [])
    load_renderer(files, settings(folder))
    load_model(files, "float32", "cpu")
    monkeypatch.setattr(sys.modules[__name__], "OPENED", None)
    loaded = {Path(p) for p in opened if Path(p).is_relative_to(folder) and Path(p).is_file()}
    # safetensors opens by itself, which Python does not see.
    loaded.add(folder / "parts/one.safetensors")
    assert {"config.json", "generation_config.json", "tokenizer.json"} < {p.name for p in loaded}
    before = fingerprint(files)
    for path in sorted(loaded):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert fingerprint(files) != before, path
        path.write_bytes(content)
    assert fingerprint(files) == before


def test_what_lies_beside_a_gguf_student_says_nothing_of_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gguf").mkdir()
    write_gguf(load_model(locate(settings(folder)), "float32", "cpu"), tmp_path / "gguf/tiny.gguf")
    copy_tokenizer(folder, tmp_path / "gguf")
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "one"))
    student = settings(tmp_path / "gguf")
    alone = fingerprint(locate(student))
    config = load_model(locate(student), "float32", "cpu").generation_config.to_dict()
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "another"))
    (tmp_path / "gguf/generation_config.json").write_text('{"eos_token_id": 3, "top_k": 7}')
    monkeypatch.setattr(sys.modules[__name__], "OPENED", opened := [])
    model = load_model(locate(student), "float32", "cpu")
    monkeypatch.setattr(sys.modules[__name__], "OPENED", None)
    assert model.generation_config.to_dict() == config
    assert str(tmp_path / "gguf/generation_config.json") not in opened
    assert fingerprint(locate(student)) == alone


@pytest.mark.parametrize("name", ["../other.safetensors", "parts/../../other.safetensors", "/other.safetensors"])
def test_an_index_that_names_weights_elsewhere_is_refused(folder: Path, name: str) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    assert "outside of the student's folder; copy them into the folder" in refused(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    elsewhere = folder.parent / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    assert f"'{folder / name}' leads to '{elsewhere.resolve()}', outside of the student's folder" in refused(folder)


def test_a_linked_folder_of_weights_is_refused(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    shutil.copy(folder / "model.safetensors", folder.parent / "elsewhere/a.safetensors")
    (folder / "parts").symlink_to(folder.parent / "elsewhere")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "parts/a.safetensors"}}))
    assert "outside of the student's folder" in refused(folder)


def test_links_of_dvc_and_of_a_hub_s_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(locate(settings(folder)))
    cached = tmp_path / ".dvc/cache/files/md5/ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    (folder / "model.safetensors").rename(cached)
    (folder / "model.safetensors").symlink_to(cached)
    assert fingerprint(locate(settings(folder))) == before
    snapshot = tmp_path / "models--a--b/snapshots/1"
    shutil.copytree(folder, snapshot)
    (tmp_path / "models--a--b/blobs").mkdir()
    (snapshot / "config.json").rename(tmp_path / "models--a--b/blobs/1f")
    (snapshot / "config.json").symlink_to("../../blobs/1f")
    assert fingerprint(locate(settings(snapshot))) == before


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "generation_config.json", "vocab.json"])
def test_a_pipe_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert "is a pipe or a device" in refused(folder)


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("num_hidden_layers", 0),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 10**9),
        ("hidden_size", 0),
        ("num_attention_heads", -4),
        ("vocab_size", 10**12),
        ("max_position_embeddings", 0),
        ("intermediate_size", 10**10),
        ("head_dim", False),
        ("text_config", {"num_hidden_layers": 0}),
    ],
)
def test_an_impossible_size_is_refused(folder: Path, key: str, size: Any) -> None:
    change(folder / "config.json", **{key: size})
    assert "which must be 1 to" in refused(folder)


@pytest.mark.parametrize("content", ["[]", "3", "null", "[" * 100_000])
def test_a_configuration_that_is_none_is_a_sentence(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder)


@pytest.mark.parametrize("known", [True, False])
def test_no_code_of_the_folder_runs_and_nobody_is_asked(
    folder: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = folder.parent / "ran"
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    auto = {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M", "AutoTokenizer": ["code.T", "code.T"]}
    change(folder / "config.json", auto_map=auto, **({} if known else {"model_type": "nobody-s"}))
    change(folder / "tokenizer_config.json", auto_map=auto, **({} if known else {"tokenizer_class": "Nobodys"}))

    def asked(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", asked)
    files = locate(settings(folder))
    for load in (lambda: load_config(files), lambda: load_renderer(files, settings(folder))):
        if known:
            load()
        else:
            with pytest.raises(StudentError, match="cannot be loaded"):
                load()
    if known:
        load_model(files, "float32", "cpu")
    assert not ran.exists()


FOR_EVER = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "says"),
    [
        (FOR_EVER, "takes more than 2 seconds"),
        ("{% set n = namespace(x=1) %}{% for a in range(99999) %}{% set n.x = n.x * 99999 %}{% endfor %}", "seconds"),
        ("{% macro f(n) %}{{ f(n) ~ f(n) }}{% endmacro %}{{ f(1) }}", "refuses a prompt"),
        ("{{ 'a' * 10**10 }}", "takes more than a gigabyte"),
        ("{{ 'a'.ljust(10**10) }}", "takes more than a gigabyte"),
        ("{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "giga|second"),
        ("{{ '%9999999999d' % 1 }}", "takes more than a gigabyte"),
        ("{{ 'ab' * 2000000 }}", "makes 4,000,000 characters of a prompt, at most 1,000,"),
        ("{% for m in messages %}{% if '7 * 6' in m.content %}" + FOR_EVER + "{% endif %}{% endfor %}x", "0.5 seconds"),
    ],
)
def test_a_template_ends_within_ten_seconds(
    template: str, says: str, tokenizer_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if template != FOR_EVER:  # which shows that the limit is two seconds
        monkeypatch.setattr(render, "TEMPLATE_CPU_S", 0.5)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("llama3"))
    tokenizer.chat_template = template
    began = time.process_time()
    with pytest.raises(StudentError, match=says) as caught:
        Renderer(tokenizer, params.Student()).prompt(MESSAGES)
    assert time.process_time() - began < 10
    assert "\n" not in str(caught.value)


def test_limits_are_lifted_again() -> None:
    with limited(5, 2**20):
        pass
    assert len(bytearray(2**22)) == 2**22
    with pytest.raises(MemoryError), limited(5, 2**20):
        bytearray(2**30)
    with pytest.raises(LimitReachedError), limited(0.05, 2**30):
        while True:
            pass
    began = time.process_time()
    while time.process_time() - began < 0.15:
        pass
