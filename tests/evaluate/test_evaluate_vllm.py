"""The engine vLLM, which is not installed here: a stand-in records what it is asked, and answers with transformers."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.registry import model_registry

from helpers.evaluate_bench import QUESTIONS, STUDENT, write_choices, write_task
from stepsift import evaluate, params
from stepsift.core.errors import EvaluationError
from stepsift.evaluate.run import _load_vllm, key_settings
from stepsift.student import StudentFiles, StudentSource
from stepsift.tasks import find_tasks

STAND_IN = {
    "vllm/__init__.py": """
import json, os
from types import SimpleNamespace
import torch
from transformers import AutoModelForCausalLM

TokensPrompt = dict

class SamplingParams(SimpleNamespace):
    pass

class LLM:
    def __init__(self, **arguments):
        self.arguments = arguments
        self.model = AutoModelForCausalLM.from_pretrained(arguments["model"]).eval()
        self.llm_engine = SimpleNamespace(model_config=None)
        self.note({"arguments": {k: v for k, v in arguments.items() if v is not None}})

    def note(self, what):
        with open(os.environ["NOTES"], "a") as f:
            f.write(json.dumps(what) + "\\n")

    @torch.no_grad()
    def generate(self, prompts, sampling_params, use_tqdm, lora_request):
        out = []
        for prompt, how in zip(prompts, sampling_params, strict=True):
            ids = list(prompt["prompt_token_ids"])
            self.note({"prompt": ids, "how": vars(how)})
            logits = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            logprobs = [None]
            for i, token in enumerate(ids[1:]):
                top = int(logits[i].argmax())
                logprobs.append({top: float(logits[i, top]), token: float(logits[i, token])})
            said = []
            while len(said) < how.max_tokens:
                said.append(int(self.model(torch.tensor([ids + said])).logits[0, -1].argmax()))
                if said[-1] in (getattr(how, "stop_token_ids", None) or []):
                    break
            out.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=said)], prompt_logprobs=logprobs))
        return out
""",
    "vllm/lora/__init__.py": "",
    "vllm/lora/request.py": "class LoRARequest: pass\n",
    "vllm/renderers/__init__.py": "",
    "vllm/renderers/hf.py": "def resolve_chat_template(**_): return None\n",
    "vllm/tokenizers.py": """
from transformers import AutoTokenizer
def get_tokenizer(name, tokenizer_mode, trust_remote_code, revision):
    return AutoTokenizer.from_pretrained(name)
""",
    "vllm-0.99.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0.99.0\n",
}
LOADED_WITH_IT = ("lm_eval.models.vllm_causallms", "stepsift.evaluate.student_vllm")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stand-in can be imported, and notes here what it is asked; afterwards all that was loaded with it is gone."""
    for name, text in STAND_IN.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    # The harness's own module takes its place there when it is imported, and cannot do so twice.
    monkeypatch.setitem(model_registry._objs, "vllm", "lm_eval.models.vllm_causallms:VLLM")
    yield tmp_path / "notes"
    for name in [m for m in sys.modules if m.partition(".")[0] == "vllm" or m in LOADED_WITH_IT]:
        del sys.modules[name]


def test_prompts_limits_and_draws_reach_vllm_and_its_answers_are_graded(tmp_path: Path, student_folder, notes: Path):
    student = student_folder("llama", "llama3")
    write_task(tmp_path / "tasks", [{"question": q, "answer": "?"} for q in QUESTIONS])
    write_choices(tmp_path / "tasks", QUESTIONS)
    ways: dict[str, dict[str, Any]] = {
        "hf": {},
        "vllm": {"engine": "vllm"},
        "drawn": {"engine": "vllm", "samples": 2, "temperature": 0.5, "top_p": 0.9},
    }
    found = {}
    for name, more in ways.items():
        settings = params.Evaluate(tasks=("toy", "pick"), trusted_tasks=("toy", "pick"), batch_size=3, **more)
        sources = find_tasks(settings.tasks, tmp_path / "tasks", settings.trusted_tasks)
        source = StudentSource(StudentFiles(student), params.Student())
        answers = evaluate.answers_of(evaluate.Evaluation(source, settings, tmp_path / name), sources)
        found[name] = answers.drop("prompt_hash").to_dicts()
    assert found["vllm"] == found["hf"]
    assert [a["sample"] for a in found["drawn"] if a["task"] == "toy"] == [1, 2] * len(QUESTIONS)
    noted = [json.loads(line) for line in notes.read_text().splitlines()]
    first = noted[0]["arguments"]
    assert (first["model"], first["dtype"], first["max_model_len"]) == (str(student), "float32", 512)
    asked = [note["how"] for note in noted if "how" in note and note["how"].get("stop_token_ids")]
    greedy, drawn = asked[: len(QUESTIONS)], asked[len(QUESTIONS) :]
    assert {(h["temperature"], h["top_p"], h["max_tokens"]) for h in greedy} == {(0.0, 1.0, 8)}
    assert {(h["temperature"], h["top_p"]) for h in drawn} == {(0.5, 0.9)}
    assert len({h["seed"] for h in drawn}) == len(drawn) == 2 * len(QUESTIONS)


def test_vllm_takes_no_gguf_student():
    with pytest.raises(EvaluationError, match=r"not given a GGUF student"):
        _load_vllm(StudentSource(StudentFiles(Path(), "a.gguf"), STUDENT), params.Evaluate(engine="vllm"))


def test_the_engine_is_in_the_key():
    one, other = (key_settings(params.Evaluate(engine=e), STUDENT) for e in ("hf", "vllm"))
    assert one != other
