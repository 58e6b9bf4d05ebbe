"""An audition with a really pre-trained student, in plain English: what `make evidence-real` runs.

    python demo/real_evidence.py --folder .stepsift/evidence-real --students smollm2 --seeds 0 --workers 1
    python demo/real_evidence.py --folder .stepsift/evidence-real --page      # what is finished so far, as a page

The same command goes on where it was stopped, at the commit that it began with: what was scored, trained and answered
lies in FOLDER/cache, a student's own work in FOLDER/NAME (a clone of the repository). More seeds later reuse what was
done for fewer. Each part may be run on another day, and on a GPU, where it takes minutes, by the same command.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from make_sources import LICENCE
from real_students import STUDENTS, DownloadError, fetch, said_before
from real_teachers import REAL_TEACHERS, respond_in_english
from real_world import StoryProblem, distinct_story_problems

REPOSITORY = Path(__file__).resolve().parent.parent
SELECTORS = ("lalp", "step_mean", "galp", "rsr", "aslec_drop", "entropy", "cll", "reference_gain")
CONTROLS = ("random", "stratified", "length_matched")
REFERENCE = "taught"
"""Name of the reference: the student itself, after training on responses of all teachers to other prompts."""
REFERENCE_PROMPTS = 60
TASK_NAME = "story"
MOST_NEW_TOKENS = 256


@dataclass(frozen=True)
class Size:
    """How much is done: prompts of the pool, examples that each student is shown, held-out questions."""

    prompts: int
    examples: int
    questions: int


def settings_of(model: str, size: Size, seeds: Sequence[int], workers: int = 1) -> dict[str, Any]:
    """The content of params.yaml; `model` is the folder of the student below the repository's root."""
    return {
        "student": {"path": model},
        "ingest": {"layout": "auto"},
        "segment": {"unit": "line"},
        "score": {
            "dtype": "bfloat16",
            "batching": "packed",
            "batch_tokens": 2_048,
            "workers": workers if workers > 1 else None,
            "window": 1,  # of a dozen steps, two show 41 % of the tokens before a step
            "references": [{"name": REFERENCE, "path": f"data/references/{REFERENCE}"}],
        },
        "select": {
            "selectors": [*SELECTORS, "random"],
            "reference": REFERENCE,
            "correct": "prefer",
            # Stories have few words: by 13 of them in a row, the default, 67 of 150 prompts were dropped.
            "filters": {"decontaminate": 30},
            "stability": "jackknife",
            "stability_prompts": None,
            "seed": 0,
        },
        "train": {
            "seeds": [0],
            "budget": {"examples": size.examples},
            "batch_size": 2,
            "learning_rate": 1.5e-4,
            "dtype": "mixed",
        },
        "evaluate": {"tasks": [TASK_NAME], "batch_size": 50, "limit": size.questions, "dtype": "bfloat16"},
        "audition": {
            "selectors": list(SELECTORS),
            "teachers": [],
            "controls": list(CONTROLS),
            "seeds": list(seeds),
            "budgets": [{"examples": size.examples}],
        },
        "report": {"title": "stepsift evidence, really pre-trained students"},
        "tracking": {"enabled": False},
    }


def rows(problems: Iterator[StoryProblem]) -> Iterator[dict[str, Any]]:
    """A row of the sources for each problem and teacher."""
    for problem in problems:
        for teacher in REAL_TEACHERS:
            yield {
                "question": problem.prompt,
                "solution": respond_in_english(teacher, problem).content,
                "answer": str(problem.answer),
                "teacher": teacher,
                "domain": problem.domain,
                "license": LICENCE,
            }


def write_world(root: Path, size: Size) -> None:
    """The pool below data/sources and the task below data/tasks; 200 questions are held out, whatever the size."""
    pool = list(distinct_story_problems("pool:0", size.prompts))
    taken = frozenset(problem.prompt for problem in (*pool, *_of_reference(pool)))
    held_out = distinct_story_problems("held-out:0", 200, taken)
    _write_lines(root / "data/sources/english.jsonl", rows(iter(pool)))
    questions = ({"prompt": p.prompt, "answer": str(p.answer), "domain": p.domain} for p in held_out)
    _write_lines(root / f"data/tasks/{TASK_NAME}.jsonl", questions)
    task = {"task": TASK_NAME, "verify": "math", "data": f"{TASK_NAME}.jsonl"}
    text = yaml.safe_dump(task | {"generation_kwargs": {"max_gen_toks": MOST_NEW_TOKENS}}, sort_keys=False)
    (root / f"data/tasks/{TASK_NAME}.yaml").write_text(text, encoding="utf-8")


def _of_reference(pool: list[StoryProblem]) -> list[StoryProblem]:
    in_pool = frozenset(problem.prompt for problem in pool)
    return list(distinct_story_problems("reference:0", REFERENCE_PROMPTS, in_pool))


def write_reference_set(folder: Path, size: Size) -> None:
    """`folder/taught/train.jsonl`: one response to each of other prompts than the pool's, by the teachers in turn."""
    problems = _of_reference(list(distinct_story_problems("pool:0", size.prompts)))
    teachers = list(REAL_TEACHERS)
    _write_lines(
        folder / REFERENCE / "train.jsonl",
        (
            {
                "messages": [
                    {"role": "user", "content": problem.prompt},
                    {"role": "assistant", "content": respond_in_english(teachers[i % len(teachers)], problem).content},
                ]
            }
            for i, problem in enumerate(problems)
        ),
    )


def make_reference(root: Path, size: Size) -> None:
    """Train the reference below data/references, with the settings of params.yaml; the working folder is `root`."""
    from stepsift import params, sidecache, student
    from stepsift.train import Training, train_all

    place = root / "data/references" / REFERENCE
    if place.is_dir():
        return
    settings = params.load()
    sets, trained = root / "reference/sets", root / "reference/trained"
    write_reference_set(sets, size)
    budget = params.Budget(examples=REFERENCE_PROMPTS)
    training = settings.train.model_copy(update={"budget": budget, "seeds": (0,)})
    at = Training(student.find(settings.student), training, sidecache.root() / "models")
    train_all(at, sets, (REFERENCE,), trained)
    place.parent.mkdir(parents=True, exist_ok=True)
    (trained / REFERENCE / "seed-0").rename(place)


def prepare(name: str, folder: Path, size: Size, seeds: Sequence[int], workers: int) -> Path:
    """A clone of this repository below `folder` with params.yaml, the student, pool and task; its root folder."""
    commit, root = folder / "commit", folder / name
    folder.mkdir(parents=True, exist_ok=True)
    if not commit.is_file():
        commit.write_text(_git(REPOSITORY, "rev-parse", "HEAD") + "\n", encoding="utf-8")
    model = fetch(name, folder / "students")
    if not root.is_dir():
        half = folder / f"{name}.part"
        shutil.rmtree(half, ignore_errors=True)
        _git(folder, "clone", "--quiet", str(REPOSITORY), str(half))
        _git(half, "checkout", "--quiet", commit.read_text(encoding="utf-8").strip())
        write_world(half, size)
        shutil.copytree(model, half / "model")
        (half / "size.json").write_text(json.dumps(vars(size)), encoding="utf-8")
        half.rename(root)
    before = json.loads((root / "size.json").read_text(encoding="utf-8"))
    if before["prompts"] != size.prompts:
        raise DownloadError(
            f"{root} has a pool of {before['prompts']} prompts, and {size.prompts} are asked for; remove that "
            "folder (scores stay in the cache beside it), or name another FOLDER"
        )
    text = yaml.safe_dump(settings_of("model", size, seeds, workers), sort_keys=False)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    return root


def environment(folder: Path, root: Path) -> dict[str, str]:
    """For the commands of the clone: this environment's programs, the clone's library, one cache."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(root / "src"), "STEPSIFT_CACHE": str(folder / "cache")}
    return os.environ | own


def run_student(root: Path, folder: Path, workers: int) -> None:
    """Reference, scores, preconditions and audition of one student, each of which goes on where it was stopped."""
    env = environment(folder, root)
    one_thread = env | {"OMP_NUM_THREADS": "1"}  # workers share the cores, and weights depend on the number
    script = str(root / "demo/real_evidence.py")
    _run([sys.executable, script, "--reference", "--folder", str(folder)], root, one_thread)
    _run(["dvc", "repro", "score"], root, env)
    tables = [f"data/{name}" for name in ("ingest/traces.parquet", "score/step_scores.parquet")]
    said = subprocess.run(
        [sys.executable, "demo/precondition.py", *tables],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    (root / "precondition.md").write_text(said.stdout, encoding="utf-8")  # for the record, whatever it says
    _run(["stepsift", "audition", "--workers", str(workers)], root, one_thread)


def finished_lines(root: Path, cache: Path) -> list[str]:
    """A row per arm with the accuracy of each seed that is finished; the working folder is `root`.

    Raises AuditionError where nothing is scored yet.
    """
    from stepsift import params
    from stepsift.audition import AuditionPlaces, finished_runs
    from stepsift.core import tables

    places = AuditionPlaces(
        Path("data/ingest") / tables.PROMPTS.file,
        Path("data/ingest") / tables.TRACES.file,
        Path("data/score") / tables.STEP_SCORES.file,
        Path("data/segment") / tables.STEPS.file,
        Path("data/tasks"),
        Path("auditions"),
        cache,
    )
    done, n_all = finished_runs(params.load(), places)
    lines = [
        f"{len(done)} of {n_all} students are finished.",
        "",
        "| arm | seed | right | questions |",
        "|---|---|---|---|",
    ]
    for run, result in done:
        for arm in run.arms:
            lines.append(f"| {arm} | {run.seed} | {result.accuracy:.3f} | {result.answers.height} |")
    return lines


def page(names: Sequence[str], folder: Path) -> str:
    """What is finished of each student; whole auditions with their own page are named."""
    lines = ["# Really pre-trained students: what is finished", ""]
    for name in names:
        root = folder / name
        lines += [f"## {STUDENTS[name].model}", ""]
        if not root.is_dir():
            lines += ["Not started.", ""]
            continue
        script = str(root / "demo/real_evidence.py")
        command = [sys.executable, script, "--finished", "--folder", str(folder)]
        env = environment(folder, root)
        said = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
        lines += [said.stdout.strip() or said.stderr.strip().splitlines()[-1], ""]
        lines += [
            f"- the whole audition: `{path.relative_to(folder)}`" for path in sorted(root.glob("auditions/*/README.md"))
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


def _run(command: list[str], root: Path, env: dict[str, str]) -> None:
    print(f"{root.name}: {' '.join(command[-4:])}", flush=True)
    subprocess.run(command, cwd=root, env=env, check=True)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _write_lines(path: Path, content: Iterator[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")


def _arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Audition with really pre-trained students, in plain English.")
    parser.add_argument("--folder", type=Path, default=Path(".stepsift/evidence-real"), help="everything lies here")
    parser.add_argument("--students", nargs="+", choices=list(STUDENTS), default=list(STUDENTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of training; more may be added later")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="students that score or learn at a time; scores of another number are made anew",
    )
    parser.add_argument("--prompts", type=int, default=300, help="prompts of the pool")
    parser.add_argument("--examples", type=int, default=100, help="examples that each student is shown")
    parser.add_argument("--questions", type=int, default=100, help="held-out questions, at most 200")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--page", action="store_true", help="print what is finished, run nothing")
    what.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)  # in a clone
    what.add_argument("--finished", action="store_true", help=argparse.SUPPRESS)  # in a clone
    return parser.parse_args(words)


def main() -> int:
    """Runs what was asked for; returns the exit code."""
    arguments = _arguments()
    folder = arguments.folder.resolve()
    if arguments.reference:
        size = Size(**json.loads(Path("size.json").read_text(encoding="utf-8")))
        make_reference(Path(), size)
        return 0
    if arguments.finished:
        print("\n".join(finished_lines(Path(), folder / "cache")))
        return 0
    if arguments.page:
        print(page(arguments.students, folder), end="")
        return 0
    for name in arguments.students:
        if not (folder / "students" / name).is_dir():
            print(said_before(STUDENTS[name]), flush=True)
    try:
        size = Size(arguments.prompts, arguments.examples, arguments.questions)
        for name in arguments.students:
            run_student(prepare(name, folder, size, arguments.seeds, arguments.workers), folder, arguments.workers)
    except DownloadError as e:
        print(e, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as e:
        print(f"{' '.join(e.cmd[-4:])} ended with {e.returncode}; the same command goes on from there", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
