"""The student: find its files, know them by content, load tokenizer and model.

Finding and fingerprinting need neither torch nor transformers, so `stepsift check` can refuse a wrong student at once.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from stepsift import params
from stepsift.core import bounded_yaml, disk, processes
from stepsift.core.errors import StudentError
from stepsift.core.finding import Finding
from stepsift.core.model_files import WEIGHTS, loaded_files, require_inside, require_possible_sizes
from stepsift.core.quiet import silenced
from stepsift.core.text import error_line, one_line
from stepsift.dequantised import LossyConversionError, converted, no_bar
from stepsift.placement import Memory, Placement, dispatch, map_layers, no_gpu, what_fits
from stepsift.render import Renderer

HUB_SUFFIX = ".hub.yaml"
SMALL_PARAMETERS = 10_000_000
"""Below this many parameters a CPU uses one thread: dividing products this small among threads costs more than it
saves, and on a machine that does something else besides, ten times more (docs/log/LOG.md)."""
KEPT_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16", "LRU_CACHE_CAPACITY": "1"}
"""How many sizes of product oneDNN keeps a kernel for, and torch's layer above it the arguments of one. Their defaults
of 1,024 took 200 MB where batches all differ in size, and a forward pass comes back to no more than a dozen
(docs/log/LOG.md)."""
_ERROR_CHARS = 300


@dataclass(frozen=True)
class StudentFiles:
    """Where the student lies on this machine: a folder, and the GGUF file in it if it is one."""

    folder: Path
    gguf_file: str | None = None
    tokenizer_in_gguf: bool = False
    """Whether the tokenizer is the one in the GGUF file and not that of the folder."""

    def load_arguments(self, tokenizer: bool = False) -> dict[str, Any]:
        """Arguments of `from_pretrained` for the model or the tokenizer.

        Nothing is ever downloaded by it, no code of the folder runs, and nobody is asked whether it may.
        """
        from_gguf = self.tokenizer_in_gguf if tokenizer else self.gguf_file is not None
        gguf = {"gguf_file": self.gguf_file} if from_gguf else {}
        return {
            "pretrained_model_name_or_path": str(self.folder),
            "local_files_only": True,
            "trust_remote_code": False,
        } | gguf

    def converted(self, part: str, convert: Callable[[Path], None]) -> "StudentFiles":
        """Where a part of a GGUF student is loaded from: the side cache that `convert` fills, else the file itself."""
        folder = None if self.gguf_file is None else converted(self.folder / self.gguf_file, part, convert)
        return self if folder is None else StudentFiles(folder)


def locate(settings: params.Student) -> StudentFiles:
    """Find the student; a model pinned in a `.hub.yaml` file is downloaded if its revision is not on this machine yet.

    Raises StudentError if there is nothing, or not a model, at `student.path`.
    """
    path = Path(settings.path)
    if not path.exists():
        raise StudentError(
            f"student.path is '{path}', where there is nothing; name a folder with config.json and weights, a .gguf "
            f"file, or a {HUB_SUFFIX} file with keys repo and revision"
        )
    gguf_file, tokenizer_in_gguf = None, False
    if path.is_dir():
        folder = path
        gguf_files = sorted(p.name for p in folder.glob("*.gguf"))
        if gguf_files and not (folder / "config.json").is_file():
            gguf_file = _only_gguf(folder, gguf_files)
    elif path.suffix == ".gguf":
        folder, gguf_file, tokenizer_in_gguf = path.parent, path.name, True
    elif path.name.endswith(HUB_SUFFIX):
        folder, gguf_file = _from_hub(path)
        tokenizer_in_gguf = gguf_file is not None
    else:
        raise StudentError(
            f"student.path is '{path}', a file that is neither .gguf nor {HUB_SUFFIX}; name one of these, or a folder "
            "with config.json and weights"
        )
    if gguf_file is None:
        _refuse_adapter(folder)
        _require(folder, "config.json", "student.path")
        if not any(True for pattern in WEIGHTS for _ in folder.glob(pattern)):
            raise StudentError(f"student.path is '{folder}', which holds no weights ({' or '.join(WEIGHTS)})")
        require_possible_sizes(json.loads((folder / "config.json").read_bytes()), folder)
    elif not (folder / gguf_file).is_file():
        raise StudentError(f"student.path is '{path}', whose gguf_file '{gguf_file}' is not in '{folder}'")
    if not tokenizer_in_gguf:
        _require(folder, "tokenizer_config.json", "student.path")
    files = StudentFiles(folder, gguf_file, tokenizer_in_gguf)
    _loaded_files(files)  # raises for one that lies elsewhere
    return files


def _only_gguf(folder: Path, names: list[str]) -> str:
    """The GGUF file of a folder; raises StudentError where there are several, or no tokenizer beside it."""
    if len(names) > 1:
        raise StudentError(
            f"student.path is '{folder}', which holds {len(names)} .gguf files ({', '.join(names[:3])}); name one of "
            f"them, as in student.path: {folder / names[0]}"
        )
    if not (folder / "tokenizer_config.json").is_file():
        raise StudentError(
            f"student.path is '{folder}', which holds {names[0]} and no tokenizer; name the file itself "
            f"(student.path: {folder / names[0]}), whose own tokenizer is then used, or put tokenizer.json and "
            "tokenizer_config.json beside it"
        )
    return names[0]


def _refuse_adapter(folder: Path) -> None:
    """Raise StudentError where a folder holds a LoRA adapter, which is no model by itself."""
    path = folder / "adapter_config.json"
    weights = [p for pattern in WEIGHTS for p in folder.glob(pattern) if not p.name.startswith("adapter_model")]
    if not path.is_file() or weights:
        return
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    of = f" of {one_line(str(base), 100)}" if base else ""
    raise StudentError(
        f"student.path is '{folder}', which holds a LoRA adapter{of} and no model; merge it into its base model "
        "(peft's merge_and_unload, then save_pretrained of model and tokenizer) and name the folder of that"
    )


@dataclass(frozen=True)
class StudentSource:
    """A student on this machine and how it is used: all that loading any part of it takes."""

    files: StudentFiles
    settings: params.Student

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files that decide what the student computes, see `fingerprint`; read once."""
        return fingerprint(self.files)

    def load_renderer(self) -> Renderer:
        """The tokenizer, see `load_renderer`."""
        return load_renderer(self.files, self.settings)

    def load_model(self, dtype: str, device: str) -> Any:
        """The model in evaluation mode, see `load_model`; on a CPU always in one piece, as training takes it."""
        return load_model(self.files, dtype, device, "one" if device == "cpu" else self.settings.placement)

    def load_config(self) -> Any:
        """Its configuration as transformers reads it. Raises StudentError where that is broken."""
        return load_config(self.files)

    def context_tokens(self) -> int:
        """How many tokens it may see at once; reads its configuration. Raises StudentError where that is broken."""
        return context_tokens(load_config(self.files), self.settings)

    def at(self, folder: Path) -> "StudentSource":
        """A trained one that lies in `folder`, used in the same way."""
        return StudentSource(StudentFiles(folder), self.settings)


def find(settings: params.Student) -> StudentSource:
    """The student that the settings name; raises StudentError as `locate` does."""
    return StudentSource(locate(settings), settings)


def check_student(source: StudentSource, renderer: Renderer) -> Finding:
    """For `stepsift check`: the student, and how it is given its prompts."""
    form = "prompts through its chat template" if renderer.has_template else "prompts as plain text, no chat template"
    return Finding([f"student     {source.settings.path}, {form}"])


def check_memory(source: StudentSource, dtype: str) -> Finding:
    """For `stepsift check`: the memory that the student's weights take, and in which ways it fits this machine.

    Or which of its files are broken, such as a download that broke off leaves: a run would load them much later.
    """
    n_parameters = count_parameters(source.files)
    if n_parameters is None:
        return Finding(problems=_broken_weights(source.files))
    placement, memory = source.settings.placement, Memory.total()
    problems = [no_gpu(placement)] if placement != "one" and not memory.gpus else []
    return Finding([f"memory      {what_fits(n_parameters, dtype, memory)}"], problems)


def count_parameters(files: StudentFiles) -> int | None:
    """Numbers in the student's safetensors files, from their headers; None where it has none, or they are broken."""
    paths = sorted(files.folder.glob("*.safetensors")) if files.gguf_file is None else []
    total = 0
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as tensors:
                total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
        except (SafetensorError, OSError):  # loading the model says what is wrong with them
            return None
    return total or None


def _broken_weights(files: StudentFiles) -> list[str]:
    """A sentence for each file from which transformers would load weights and that is cut or none of safetensors."""
    sentences = []
    for path in sorted(files.folder.glob("model*.safetensors")) if files.gguf_file is None else []:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as e:
            sentences.append(f"the weights in {path} cannot be read ({_reason(e)}); copy or download them anew")
    return sentences


def takes_one_core(source: StudentSource) -> bool:
    """Whether one thread computes the student on this machine (`SMALL_PARAMETERS`), so that other cores have nothing to
    do: several such students can be trained or asked at once, and none is changed by it."""
    n_parameters = count_parameters(source.files)
    return n_parameters is not None and n_parameters < SMALL_PARAMETERS and pick_device("auto") == "cpu"


def _require(folder: Path, name: str, key: str) -> None:
    if not (folder / name).is_file():
        raise StudentError(
            f"{key} is '{folder}', which holds no {name}; name a folder as save_pretrained of model and tokenizer "
            "writes it, with config.json, weights and tokenizer_config.json"
        )
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise StudentError(f"{folder / name} is not valid JSON: {e}") from None
    if not isinstance(content, dict):
        raise StudentError(f"{folder / name} holds no keys with values; put the model's own file there")


def _from_hub(pin: Path) -> tuple[Path, str | None]:
    """Folder of the pinned snapshot, from the local hub cache or downloaded into it."""
    try:
        content = bounded_yaml.load(pin)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as e:
        raise StudentError(f"{pin} is not valid YAML: {error_line(e)}") from None
    if not isinstance(content, dict) or not {"repo", "revision"} <= set(content) <= {"repo", "revision", "gguf_file"}:
        raise StudentError(f"{pin} must hold the keys repo and revision (and gguf_file for a GGUF file), nothing else")
    repo, revision, gguf_file = str(content["repo"]), str(content["revision"]), content.get("gguf_file")
    if len(revision) != 40 or set(revision) - set("0123456789abcdef"):
        raise StudentError(
            f"{pin}: revision is '{revision}'; give the commit's 40 hexadecimal digits, since a branch moves "
            "and the scores of yesterday's student would be taken for today's"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.model", "*.jinja", gguf_file or "*.safetensors"]
    try:
        # A commit never changes: what is here whole needs no network, whose absence takes long to notice.
        with contextlib.suppress(LocalEntryNotFoundError):
            here = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=True))
            if _is_whole(here, gguf_file):
                return here, gguf_file
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns)), gguf_file
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as e:
        raise StudentError(
            f"{pin}: {repo} at revision {revision} is not on this machine and cannot be downloaded ({_reason(e)}); "
            "check the name, the network and, for a gated model, that you are logged in to the hub"
        ) from e


def _is_whole(snapshot: Path, gguf_file: str | None) -> bool:
    """Whether a snapshot holds all that a student needs, and not what an interrupted download left."""
    if gguf_file:
        return (snapshot / gguf_file).is_file()
    index = snapshot / "model.safetensors.index.json"
    shards = set(json.loads(index.read_bytes())["weight_map"].values()) if index.is_file() else {"model.safetensors"}
    return all((snapshot / f).is_file() for f in ("config.json", "tokenizer.json", "tokenizer_config.json", *shards))


def fingerprint(files: StudentFiles) -> str:
    """SHA-256 over names and contents of the files that decide what the student computes; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(files.folder).as_posix(), path) for path in _loaded_files(files)):
        digest.update(f"{name}\0{disk.file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _loaded_files(files: StudentFiles) -> list[Path]:
    """Every file that loading the student may read; raises StudentError for one that lies outside of its folder."""
    if files.gguf_file is None:
        return loaded_files(files.folder)
    path = files.folder / files.gguf_file
    require_inside(path, files.folder)
    return [path, *loaded_files(files.folder, weights=False, tokenizer=not files.tokenizer_in_gguf)]


def load_renderer(files: StudentFiles, settings: params.Student) -> Renderer:
    """The tokenizer, wrapped in the one function that makes ids; raises StudentError if it cannot be loaded."""
    from transformers import AutoTokenizer

    def load(place: StudentFiles) -> Any:
        return AutoTokenizer.from_pretrained(**place.load_arguments(tokenizer=True))

    def convert(target: Path) -> None:
        tokenizer = load(files)
        tokenizer.save_pretrained(target)
        if not _is_same_tokenizer(tokenizer, load(StudentFiles(target))):
            raise LossyConversionError("its tokenizer cannot be kept as a folder")

    try:
        tokenizer = load(files.converted("tokenizer", convert) if files.tokenizer_in_gguf else files)
    except Exception as e:  # besides its own errors, transformers lets through those of every reader of tokenizers
        # It reads the model's configuration too: if that is what is broken, this says so.
        load_config(files)
        raise StudentError(f"the tokenizer in '{files.folder}' cannot be loaded: {_reason(e)}") from e
    return Renderer(tokenizer, settings)


def _is_same_tokenizer(one: Any, other: Any) -> bool:
    """Whether two tokenizers make the same ids of every text and every conversation."""

    def states(tokenizer: Any) -> list[Any]:
        return [tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map, tokenizer.chat_template]

    return states(one) == states(other)


def load_config(files: StudentFiles) -> Any:
    """The model's configuration, without its weights; raises StudentError if it cannot be loaded."""
    from transformers import AutoConfig

    def load(place: StudentFiles) -> Any:
        return AutoConfig.from_pretrained(**place.load_arguments())

    try:
        config = load(files.converted("config", lambda target: load(files).save_pretrained(target)))
    except Exception as e:  # besides its own errors, transformers lets through those of its checks of every field
        raise StudentError(f"the configuration in '{files.folder}' cannot be loaded: {_reason(e)}") from e
    require_possible_sizes(config.to_dict(), files.folder / (files.gguf_file or ""))
    return config


def load_model(files: StudentFiles, dtype: str, device: str, placement: Placement = "one") -> Any:
    """The model in evaluation mode on a device of `pick_device`, or divided as `placement` says (`placement.py`).

    Raises StudentError if it cannot be loaded, if its files lack weights (which would be random numbers), or if it does
    not fit.
    """
    # Read when the first product is made.
    for name, capacity in KEPT_PRODUCTS.items():
        os.environ.setdefault(name, capacity)
    import torch

    # The weights of a GGUF student in each precision by itself: what is kept is what was loaded, to the bit.
    def convert(target: Path) -> None:
        weights = _load_weights(files, dtype)
        with silenced("transformers"):
            weights.save_pretrained(target)

    place = files.converted(dtype, convert)
    model = _load_weights(place, dtype)
    if device == "cpu" and sum(p.numel() for p in model.parameters()) < SMALL_PARAMETERS:
        torch.set_num_threads(1)
    if placement == "one":
        return model.to(device).eval()
    return dispatch(model.eval(), map_layers(model, placement, Memory.free()), 0)


def _load_weights(files: StudentFiles, dtype: str) -> Any:
    """The model on the CPU, see `load_model`."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig, GgufConfig

    unpacked: dict[str, Any] = {}
    if files.gguf_file:
        # Left to itself, transformers keeps weights packed where it finds kernels for them: neither the same numbers
        # on every machine, nor a student that can be trained. It also reads a generation_config.json beside the file,
        # though a GGUF student is that file alone.
        unpacked["quantization_config"] = GgufConfig(dequantize=True)
        unpacked["generation_config"] = GenerationConfig.from_model_config(load_config(files))
    try:
        # Of what transformers logs on the way, missing weights alone matter, and they are an error here.
        with silenced("transformers"), no_bar():
            model, loaded = AutoModelForCausalLM.from_pretrained(
                **files.load_arguments(),
                **unpacked,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
            )
    except Exception as e:  # besides its own errors, transformers lets through those of every reader of weights
        raise StudentError(f"the model in '{files.folder}' cannot be loaded: {_reason(e)}") from e
    if missing := sorted(loaded["missing_keys"]):
        raise StudentError(
            f"the weights in '{files.folder}' lack {len(missing)} of the model's tensors, the first is {missing[0]}; "
            "the files are incomplete, or config.json is another model's"
        )
    return model


def _reason(error: Exception) -> str:
    """What an error of another library says."""
    return error_line(error, _ERROR_CHARS)


def pick_device(setting: str) -> str:
    """'cpu', 'cuda' or 'mps', as `score.device` asks for; raises StudentError where this machine has no such device."""
    import torch

    if setting == "cuda" and not torch.cuda.is_available():
        raise StudentError(
            "score.device is 'cuda', but torch sees no CUDA device; set device: auto, or install a CUDA build of torch"
        )
    if setting == "mps" and not torch.backends.mps.is_available():
        raise StudentError("score.device is 'mps', but torch sees no Apple GPU; set device: auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting


def take_share(number: int, n_processes: int) -> None:
    """Give this process, the `number`-th (from 0) of `n_processes`, a CUDA device of its own, or its share of the CPU.

    To be called before anything uses CUDA: what is visible can be narrowed only until then.
    """
    import torch

    take_devices(number, n_processes, 1)
    torch.set_num_threads(max(1, processes.cores() // n_processes))


def take_devices(number: int, n_processes: int, most: int | None = None) -> None:
    """Let this process, the `number`-th (from 0) of `n_processes`, see its share of the CUDA devices, at least one.

    `most`: devices that it sees at most. To be called before anything uses CUDA.
    """
    import torch

    if n_devices := torch.cuda.device_count():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(n_devices)]
        size = min(most or n_devices, max(1, n_devices // n_processes))
        first = number * size % (n_devices - n_devices % size)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[first : first + size])


def context_tokens(model_config: Any, settings: params.Student) -> int:
    """How many tokens the student may see at once: the smaller of its configuration and `max_context_tokens`."""
    text_config = model_config.get_text_config(decoder=True)
    limit = getattr(text_config, "max_position_embeddings", None) or 2**31
    return min(limit, settings.max_context_tokens or limit)
