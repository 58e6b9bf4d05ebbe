"""Beside the chain: are the side caches whole, and can MLflow's database be read? Nothing is changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

from stepsift import params, sidecache
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult

_NAMES = ("models", "evaluations")


def check_caches() -> CheckResult:
    """Compare every file of the side caches of models and evaluations with its checksum."""
    stores = [sidecache.SideCache(sidecache.root() / name) for name in _NAMES]
    damages = [damage for store in stores for damage in store.damages()]
    n_entries = sum(len(store.entries()) for store in stores)
    return CheckResult("caches", f"{count(n_entries, 'entry')} of models and evaluations: whole", tuple(damages))


def check_runs(settings: params.Tracking) -> CheckResult:
    """Have SQLite check MLflow's database; a server's is its own affair."""
    from stepsift.tracking.runs import store_uri

    uri = store_uri(settings)
    if not settings.enabled:
        return CheckResult("runs", "", taken="MLflow's runs: tracking is off")
    if not uri.startswith("sqlite:///"):
        return CheckResult("runs", "", taken="MLflow's runs: they are on a server")
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.is_file():
        return CheckResult("runs", "", taken=f"MLflow's runs: there is no {path.name}")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            problems = [row[0] for row in database.execute("PRAGMA quick_check") if row[0] != "ok"]
    except sqlite3.Error as e:
        problems = [str(e)]
    advice = "move it away, 'stepsift setup' makes a new one"
    broken = tuple(f"{path.name} is damaged ({problem}); {advice}" for problem in problems)
    return CheckResult("runs", f"{path.name} can be read", broken, "what the runs say")
