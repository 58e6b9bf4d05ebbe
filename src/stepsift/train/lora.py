"""Low-rank adapters (Hu et al. 2021), with peft: put on before training, merged in after it."""

import json
from pathlib import Path
from typing import Any

from stepsift import params
from stepsift.core.errors import TrainingError

ADAPTER = "adapter"
_ABOUT = "adapter_config.json"


def add(model: Any, settings: params.Lora) -> Any:
    """The model with fresh adapters, which alone are trained. Raises TrainingError where a target is not in it."""
    from peft import LoraConfig, get_peft_model

    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    if isinstance(targets, list):
        ends = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        if missing := [t for t in targets if t.rpartition(".")[2] not in ends]:
            linear = sorted(
                {n.rpartition(".")[2] for n, m in model.named_modules() if type(m).__name__ in ("Linear", "Conv1D")}
            )
            raise TrainingError(
                f"train.lora.targets names '{missing[0]}', which the student has not; it has {', '.join(linear)}"
            )
    return get_peft_model(model, config)


def gather(model: Any) -> dict[str, Any]:
    """The trained adapters, whole and on the CPU, of a model whose weights are sharded (FSDP).

    Every process calls it, and the first one gets them; the others get nothing.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    whole = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    return get_model_state_dict(model, options=whole)


def put(adapters: dict[str, Any], model: Any) -> Any:
    """The model with these in the place of its fresh adapters; weights that are none of them stay as they are."""
    own = [name for name, weight in model.named_parameters() if weight.requires_grad]
    model.load_state_dict({name: adapters[name] for name in own}, strict=False)
    return model


def save(model: Any, out: Path) -> None:
    """Save the adapters into `out/adapter`, then merge them and save the student into `out`."""
    adapter = out / ADAPTER
    model.save_pretrained(adapter)
    (adapter / "README.md").unlink(missing_ok=True)  # a template of a card, with nothing in it
    about = json.loads((adapter / _ABOUT).read_text(encoding="utf-8"))
    # A set, in another order in every process, and a path of this machine.
    about |= {"target_modules": sorted(about["target_modules"]), "base_model_name_or_path": None}
    (adapter / _ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    model.merge_and_unload().save_pretrained(out)
