"""Stage train: one student for each selector and seed; those trained before come from the side cache."""

import argparse
from pathlib import Path

from stepsift import params, sidecache, student, tracking
from stepsift.core import console, disk
from stepsift.core.text import count
from stepsift.train import Training, train_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("selections", type=Path, help="folder with <selector>/train.jsonl")
    parser.add_argument("out", type=Path, help="folder for <selector>/seed-<seed>/ and rejected.parquet")
    parser.add_argument("curves", type=Path, help="JSON file for the points of a chart of all curves")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    n_students = len(settings.select.names) * len(settings.train.seeds)
    names = ", ".join(settings.select.names)
    intent = f"trains {count(n_students, 'student')}, {len(settings.train.seeds)} for each of {names}"
    with console.announced("train", intent, args.out) as end, tracking.stage("train", settings) as run:

        def on_log(selector: str, seed: int, update: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                run.log_metric(f"{selector}/seed-{seed}/{name}", value, step=update)

        training = Training(student.find(settings.student), settings.train, sidecache.root() / "models")
        trained = train_all(training, args.selections, settings.select.names, args.out, on_log)
        disk.write_json(trained.curves(), args.curves)
        disk.write_json(trained.metrics(), args.metrics)
        run.log_metrics({"trained": trained.trained, "from_cache": trained.reused})
        if settings.tracking.model is not None:
            run.register(settings.tracking.model, [_registered(args, *key) for key in trained.results])
        end.did = f"{trained.trained} trained, {trained.reused} from the cache"


def _registered(args: argparse.Namespace, selector: str, seed: int) -> tracking.RegisteredStudent:
    folder = args.out / selector / f"seed-{seed}"
    manifest = disk.read_json(args.selections / selector / "manifest.json")
    fingerprint = student.fingerprint(student.StudentFiles(folder))
    return tracking.RegisteredStudent(selector, seed, folder.as_posix(), fingerprint, manifest["fingerprint"])


if __name__ == "__main__":
    console.run(main)
