"""Small tasks, and a student and a trained one that are evaluated on them."""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from stepsift import evaluate, params
from stepsift.render import Renderer
from stepsift.student import StudentFiles, StudentSource, load_renderer

SETTINGS = params.Evaluate(tasks=("toy",), trusted_tasks=("toy", "pick", "more"), batch_size=3)
STUDENT = params.Student()
QUESTIONS = ["2 + 3 ?", "What is the sum of the first ten numbers, one by one?", "x", "7 * 6 ?", "Let x be 4 .  Is it?"]
TOY: dict[str, Any] = {
    "task": "toy",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "toy.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": 8},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def files_in(folder: Path) -> StudentFiles:
    return StudentFiles(folder)


def write_task(folder: Path, rows: list[dict[str, str]], name: str = "toy", **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(TOY | {"task": name} | files | changes))


CHOICES = ["42", "yes", "the sum"]


def write_choices(folder: Path, questions: list[str], name: str = "pick") -> None:
    """A task in which the student picks one of three continuations, the first being right."""
    rows = [{"question": q, "choices": CHOICES, "gold": 0} for q in questions]
    write_task(
        folder,
        rows,  # type: ignore[arg-type]
        name,
        output_type="multiple_choice",
        doc_to_choice="{{choices}}",
        doc_to_target="{{gold}}",
        generation_kwargs=None,
        metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    )


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path) -> tuple[Renderer, Any]:
    """For questions one after the other; no test changes a student that it has asked."""
    return load_renderer(files_in(folder), STUDENT), AutoModelForCausalLM.from_pretrained(folder).eval()


@functools.cache
def says(folder: Path, question: str, new_tokens: int = 8) -> str:
    """What the student says, greedy, computed without harness, batch or padding; up to its end token."""
    renderer, model = _loaded(folder)
    ids = renderer.prompt([{"role": "user", "content": question}])
    with torch.no_grad():
        for _ in range(new_tokens):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] in (renderer.end_id, renderer.tokenizer.eos_token_id):
                break
    said = ids[len(renderer.prompt([{"role": "user", "content": question}])) :]
    return renderer.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)


class Bench:
    """A student, a trained one beside it, and tasks, in one folder."""

    def __init__(self, folder: Path, student: Path):
        self.folder, self.student = folder, student
        self.add_trained("lalp", 0, scale=-1.0)

    def add_trained(self, selector: str, seed: int, scale: float) -> Path:
        target = shutil.copytree(self.student, self.folder / "train" / selector / f"seed-{seed}")
        weights = load_file(target / "model.safetensors")
        weights["lm_head.weight"] *= scale
        save_file(weights, target / "model.safetensors", {"format": "pt"})
        return target

    def run(self, settings: params.Evaluate = SETTINGS, student: params.Student = STUDENT) -> evaluate.Evaluated:
        places = (self.folder / name for name in ("train", "tasks", "out"))
        return evaluate.evaluate_all(self.evaluation(settings, student), *places)

    def evaluation(
        self, settings: params.Evaluate = SETTINGS, student: params.Student = STUDENT
    ) -> evaluate.Evaluation:
        return evaluate.Evaluation(StudentSource(files_in(self.student), student), settings, self.folder / "cache")

    def forget(self) -> None:
        """Empty the side cache."""
        shutil.rmtree(self.folder / "cache")
