"""Provenance of a curated set as an in-toto statement: what it is, what it was made of, by what; signed with a key.

The statement (https://in-toto.io/Statement/v1) has SLSA's provenance (https://slsa.dev/provenance/v1) as its predicate.
Signed, it stands in a DSSE envelope, as other tools of that family read it. Nothing in it depends on when it is made:
the same set at the same commit gives the same statement.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from stepsift import __version__
from stepsift.core import disk
from stepsift.core.errors import LineageError
from stepsift.core.text import count, error_line
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.exports import MANIFEST
from stepsift.lineage.lock import Lock

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:stepsift:curation:v1"
PAYLOAD = "application/vnd.in-toto+json"
_PACKAGES = ("polars", "torch", "transformers")
_MOST_BYTES = 2**26
"""Of a statement; one names each file of a curated set, and each source."""


def statement(selector: str, lock: Lock, commit: Mapping[str, str], images: Mapping[str, str]) -> dict[str, Any]:
    """What can be said of one curated set: its files, parameters, sources, student, commit and container images.

    `lock` is the dvc.lock of the working folder; `commit` has `git.commit` and `git.dirty` (empty without git);
    `images` maps the name of an image to its digest. Raises LineageError if there is no such set.
    """
    sets = Path(lock.folder("select"))
    folder = sets / selector
    names = sorted(path.parent.name for path in sets.glob(f"*/{MANIFEST}"))
    if selector not in names:
        advice = f"name one of {', '.join(names)}" if names else "run 'dvc repro select'"
        raise LineageError(f"there is no curated set {folder}; {advice}")
    manifest = disk.read_json(folder / MANIFEST)
    sources = manifest["inputs"]["sources"] or {}
    student = manifest["student"]
    of_git = [{"name": "repository", "digest": {"gitCommit": commit["git.commit"]}}] if "git.commit" in commit else []
    return {
        "_type": STATEMENT,
        "subject": [{"name": path.as_posix(), "digest": _digests(path)} for path in disk.files_below(folder)],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"selector": manifest["selector"], "params.yaml": _parameters(lock)},
                "internalParameters": {"code": manifest["code"], "dirty": commit.get("git.dirty")},
                "resolvedDependencies": [
                    *of_git,
                    *({"name": f"source {name}", "digest": {"md5": s["md5"]}} for name, s in sorted(sources.items())),
                    {"name": f"student {student['path']}", "digest": {"stepsift": student["student"]}},
                    *({"name": f"image {name}", "digest": _image(digest)} for name, digest in sorted(images.items())),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:stepsift",
                    "version": {"stepsift": __version__} | {name: version(name) for name in _PACKAGES},
                }
            },
        },
    }


def _parameters(lock: Lock) -> dict[str, Any]:
    """Section or key of params.yaml to what the stages up to select ran with."""
    stages = [stage for stage in ("ingest", "segment", "score", "select") if stage in lock]
    return {key: value for stage in stages for key, value in lock.settings(stage).items()}


def _digests(path: Path) -> dict[str, str]:
    return {"md5": disk.file_md5(path), "sha256": disk.file_sha256(path)}


def _image(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.rpartition(":")
    return {algorithm or "sha256": value}


def sign(content: Mapping[str, Any], key: Path, passphrase: str | None = None) -> dict[str, Any]:
    """A DSSE envelope around a statement, signed with a private key in PEM (Ed25519, ECDSA or RSA).

    Raises LineageError if the key cannot be read.
    """
    try:
        private = load_pem_private_key(key.read_bytes(), passphrase.encode() if passphrase else None)
        signer = CryptoSigner(private)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise LineageError(
            f"{key} is no private key that can be used ({error_line(e)}); make one with 'openssl genpkey -algorithm "
            "ed25519', or give its passphrase in STEPSIFT_KEY_PASSPHRASE"
        ) from e
    envelope = Envelope(_bytes(content), PAYLOAD, {})
    envelope.sign(signer)
    signed: dict[str, Any] = envelope.to_dict()
    return signed


def _bytes(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


def check_attestation(path: Path, key: Path | None, lock: Lock) -> list[CheckResult]:
    """Two links: the signature, and whether the statement speaks of what lies here.

    `key` is a public key in PEM; without one a signature is taken, which is said. `lock` is the dvc.lock of the working
    folder. Raises LineageError if the file is no statement.
    """
    content, signature = _open(path, key)
    checked = f"{count(len(content['subject']), 'file')}, parameters, sources and student: as it says"
    return [signature, CheckResult("attestation", checked, tuple(_differences(content, lock)))]


def _open(path: Path, key: Path | None) -> tuple[dict[str, Any], CheckResult]:
    try:
        content = json.loads(disk.read_regular(path, _MOST_BYTES))
        signed = "payload" in content
        envelope = Envelope.from_dict(content) if signed else None
        inner: dict[str, Any] = json.loads(envelope.payload) if envelope else content
        _require_form(inner)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        what = f"it has no {error_line(e)}" if isinstance(e, KeyError) else error_line(e)
        raise LineageError(f"{path} is no statement of 'stepsift attest' ({what})") from e
    if key is None:
        what = "the signature: no key was given" if signed else "a signature: there is none"
        return inner, CheckResult("signature", "", taken=what)
    if envelope is None:
        return inner, CheckResult("signature", "", (f"{path} is not signed",))
    try:
        public = SSlibKey.from_crypto(load_pem_public_key(key.read_bytes()))
        envelope.verify([public], 1)
    except VerificationError:
        return inner, CheckResult("signature", "", (f"{path} is not signed with the key {key}, or was changed since",))
    except (OSError, ValueError, UnsupportedAlgorithm) as e:
        raise LineageError(f"{key} is no public key in PEM ({error_line(e)})") from e
    return inner, CheckResult("signature", f"signed with the key {key.name}")


def _require_form(content: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError where something is not as in a statement of `statement`."""
    if content["_type"] != STATEMENT or content["predicateType"] != PREDICATE:
        raise ValueError(f"its types are {content['_type']} and {content['predicateType']}")
    definition = content["predicate"]["buildDefinition"]
    for key in ("selector", "params.yaml"):
        definition["externalParameters"][key]
    for named in (*content["subject"], *definition["resolvedDependencies"]):
        if not (isinstance(named["name"], str) and isinstance(named["digest"], dict)):
            raise ValueError("a file or source in it has no name or no digest")


def _differences(content: dict[str, Any], lock: Lock) -> Iterator[str]:
    """A sentence for each thing that the statement and the working folder do not agree on."""
    select = Path(lock.folder("select"))
    stated: dict[Path, dict[str, str]] = {Path(s["name"]): s["digest"] for s in content["subject"]}
    present = set(disk.files_below(select))
    for path, digest in stated.items():
        if ".." in path.parts or not path.is_relative_to(select):
            yield f"it speaks of {path}, which is no file of a curated set"
        elif path not in present:
            yield f"{path} is missing"
        elif _digests(path) != digest:
            yield f"{path} was changed"
    folders = sorted({path.parent for path in stated if path.parent.parent == select})
    if not folders:
        yield "it names no file of a curated set"
    definition = content["predicate"]["buildDefinition"]
    made_of = {d["name"]: d["digest"] for d in definition["resolvedDependencies"]}
    students = {name: digest for name, digest in made_of.items() if name.startswith("student ")}
    for folder in folders:
        yield from (f"{path} is new" for path in disk.files_below(folder) if path not in stated)
        if (folder / MANIFEST) in present:
            manifest = disk.read_json(folder / MANIFEST)
            student = manifest["student"]
            if students != {f"student {student['path']}": {"stepsift": student["student"]}}:
                yield f"{folder / MANIFEST} names a different student"
            if definition["externalParameters"]["selector"] != manifest["selector"]:
                yield f"{folder / MANIFEST} has other settings of the selector"
    if _hash(definition["externalParameters"]["params.yaml"]) != _hash(_parameters(lock)):
        yield "dvc.lock has other parameters"
    sources = Path(lock.folder("ingest")) / "sources.json"
    known = disk.read_json(sources) if sources.is_file() else {}
    named = {name.removeprefix("source "): d.get("md5") for name, d in made_of.items() if name.startswith("source ")}
    if named != {name: about["md5"] for name, about in known.items()}:
        yield f"{sources} names other sources"


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
