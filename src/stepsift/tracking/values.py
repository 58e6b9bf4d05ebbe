"""Settings, numbers and data sets as MLflow takes them: flat, with names and lengths that it allows."""

from collections.abc import Iterator
from typing import Any

from stepsift.core.text import mlflow_name

_PARAMS_A_BATCH = 100
_MOST_DIGEST_CHARS = 36


def flatten(values: dict[str, Any], separator: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dictionaries, with the names on the way to them."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, separator, f"{prefix}{name}{separator}")
        else:
            yield f"{prefix}{name}", value


def numbers(values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Leaves that are numbers, names joined by '/'; what is no number is left out."""
    for name, value in flatten(values, "/"):
        if isinstance(value, int | float):
            yield mlflow_name(name), float(value)


def log_params(client: Any, run_id: str, settings: dict[str, Any], written: dict[str, Any]) -> None:
    """Log settings as parameters, names joined by '.'; those of `written` as they stand in params.yaml.

    There a selector is a name, and in `settings` a dictionary of twenty keys.
    """
    from mlflow.entities import Param

    values = dict(flatten(settings, ".")) | dict(flatten(written, "."))
    flat = [Param(mlflow_name(key), str(value)) for key, value in values.items()]
    for start in range(0, len(flat), _PARAMS_A_BATCH):
        client.log_batch(run_id, params=flat[start : start + _PARAMS_A_BATCH])


def log_inputs(client: Any, run_id: str, context: str, data: dict[str, str]) -> None:
    """Log path and MD5 of data as inputs, never their content; `context` is what they are used for."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for path, md5 in data.items():
        dataset = MetaDataset(LocalArtifactDatasetSource(path), name=path, digest=md5[:_MOST_DIGEST_CHARS])
        tags = [InputTag("mlflow.data.context", context), InputTag("dvc.md5", md5), InputTag("dvc.path", path)]
        inputs.append(DatasetInput(Dataset(**dataset.to_dict()), tags))
    if inputs:
        client.log_inputs(run_id, inputs)
