"""A curated set's provenance: what it says, who signed it, and what no longer is as it says."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers import lineage_project as project
from helpers.dvc_here import dvc_here
from stepsift.core import disk
from stepsift.core.errors import LineageError
from stepsift.lineage import outputs
from stepsift.lineage.attest import PAYLOAD, PREDICATE, STATEMENT, check_attestation, sign, statement
from stepsift.lineage.lock import read

COMMIT = {"git.commit": "0" * 40, "git.dirty": "false"}

pytestmark = pytest.mark.usefixtures("repository")


def write_keys(name: str, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """A private key and its public one, in PEM."""
    key = Ed25519PrivateKey.generate()
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    Path(f"{name}.pem").write_bytes(private)
    Path(f"{name}.pub.pem").write_bytes(public)
    return Path(f"{name}.pem"), Path(f"{name}.pub.pem")


def made() -> dict:
    return statement("lalp", read(project.LOCK), COMMIT, {"stepsift:cpu": "sha256:" + "a" * 64})


def broken(content: object, key: Path | None = None) -> dict[str, tuple[str, ...]]:
    """What does not hold, by link."""
    disk.write_json(content, Path("attestation.json"))
    links = check_attestation(Path("attestation.json"), key, read(project.LOCK))
    return {link.name: link.broken for link in links if link.broken}


def test_it_says_what_the_set_is_and_what_it_was_made_of():
    content = made()
    assert (content["_type"], content["predicateType"]) == (STATEMENT, PREDICATE)
    names = [s["name"] for s in content["subject"]]
    assert "data/select/lalp/train.jsonl" in names and "data/select/random/train.jsonl" not in names
    definition = content["predicate"]["buildDefinition"]
    made_of = {d["name"]: d["digest"] for d in definition["resolvedDependencies"]}
    assert made_of["repository"] == {"gitCommit": "0" * 40}
    assert made_of["source a.jsonl"] == {"md5": disk.file_md5(Path("data/sources/a.jsonl"))}
    assert made_of["student student"] == {"stepsift": "f1n9e8p7r6i5n4t3"}
    assert made_of["image stepsift:cpu"] == {"sha256": "a" * 64}
    assert definition["externalParameters"]["params.yaml"]["select"] == {"correct": "prefer"}
    assert content == made()


def test_a_set_that_is_not_there():
    with pytest.raises(LineageError, match=r"^there is no curated set data/select/best; name one of lalp, random$"):
        statement("best", read(project.LOCK), COMMIT, {})
    for path in ("lalp/", "./lalp", "../select/lalp", str(Path("data/select/lalp").absolute())):
        with pytest.raises(LineageError, match=r"; name one of lalp, random$"):
            statement(path, read(project.LOCK), COMMIT, {})
    for name in ("lalp", "random"):
        Path(f"data/select/{name}/manifest.json").unlink()
    with pytest.raises(LineageError, match=r"^there is no curated set data/select/lalp; run 'dvc repro select'$"):
        statement("lalp", read(project.LOCK), COMMIT, {})


def test_all_is_as_it_says_and_a_signature_is_taken_without_a_key():
    private, public = write_keys("team")
    disk.write_json(sign(made(), private), Path("a.json"))
    signature, agrees = check_attestation(Path("a.json"), None, read(project.LOCK))
    assert signature.line() == "taken   signature         not recomputed: the signature: no key was given"
    assert agrees.line().startswith("ok      attestation ")
    signature, _ = check_attestation(Path("a.json"), public, read(project.LOCK))
    assert signature.line() == "ok      signature         signed with the key team.pub.pem"


def test_the_envelope_is_what_the_standard_says():
    private, _ = write_keys("team")
    envelope = sign(made(), private)
    assert envelope["payloadType"] == PAYLOAD
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert set(envelope["signatures"][0]) == {"keyid", "sig"}


def test_what_was_changed_is_named():
    private, public = write_keys("team")
    signed = sign(made(), private)
    Path("data/select/lalp/train.jsonl").chmod(0o644)
    Path("data/select/lalp/train.jsonl").write_text("{}\n")
    Path("data/select/lalp/more.jsonl").write_text("{}\n")
    Path("data/select/lalp/README.md").unlink(missing_ok=True)
    found = broken(signed, public)["attestation"]
    assert "data/select/lalp/train.jsonl was changed" in found
    assert "data/select/lalp/more.jsonl is new" in found


def test_other_parameters_and_other_sources():
    content = made()
    definition = content["predicate"]["buildDefinition"]
    definition["externalParameters"]["params.yaml"]["select"] = {"correct": "require"}
    definition["resolvedDependencies"][1]["digest"]["md5"] = "0" * 32
    assert broken(content)["attestation"] == (
        "dvc.lock has other parameters", "data/ingest/sources.json names other sources",
    )  # fmt: skip


def dependency(content: dict, kind: str) -> dict:
    """What a statement says of the first source, or of the student."""
    made_of = content["predicate"]["buildDefinition"]["resolvedDependencies"]
    return next(d for d in made_of if d["name"].startswith(f"{kind} "))


def test_a_student_that_did_not_score_and_settings_that_did_not_choose():
    content = made()
    dependency(content, "student")["digest"] = {"stepsift": "another"}
    content["predicate"]["buildDefinition"]["externalParameters"]["selector"] = {"name": "lalp", "by": "galp"}
    assert broken(content)["attestation"] == (
        "data/select/lalp/manifest.json names a different student",
        "data/select/lalp/manifest.json has other settings of the selector",
    )


def test_a_statement_about_nothing_is_not_confirmed():
    assert broken(made() | {"subject": []})["attestation"] == ("it names no file of a curated set",)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\x1b[31m\n::error::"])
def test_a_file_that_no_folder_can_hold_is_missing(name: str):
    content = made()
    content["subject"].append({"name": f"data/select/lalp/{name}", "digest": {}})
    assert broken(content)["attestation"] == (f"data/select/lalp/{name} is missing",)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("subject", None, "it has no 'subject'"),
        ("subject", 3, "int"),
        ("subject", [3], "int"),
        ("subject", [{"name": "data/select/lalp/train.jsonl"}], "it has no 'digest'"),
        ("subject", [{"name": 3, "digest": {}}], "a file or source in it has no name or no digest"),
        ("predicate", None, "it has no 'predicate'"),
        ("predicate", {}, "it has no 'buildDefinition'"),
        ("predicate", {"buildDefinition": {"externalParameters": {"selector": {}}}}, "it has no 'params.yaml'"),
    ],
)
def test_a_statement_that_lacks_something_is_one_sentence(key: str, value: object, what: str):
    content = {k: v for k, v in (made() | {key: value}).items() if v is not None}
    with pytest.raises(LineageError, match=f"is no statement of 'stepsift attest' .*{what}"):
        broken(content)


def test_a_statement_without_end_is_one_sentence():
    Path("a.json").write_text("[" * 100_000)
    os.mkfifo("pipe.json")
    for name in ("a.json", "pipe.json"):
        with pytest.raises(LineageError, match=f"{name} is no statement of 'stepsift attest'"):
            check_attestation(Path(name), None, read(project.LOCK))


def test_a_forged_statement_does_not_pass_for_a_signed_one():
    private, public = write_keys("team")
    _, stranger = write_keys("stranger")
    signed = sign(made(), private)
    assert "signature" in broken(signed, stranger)
    other = sign(made() | {"subject": []}, private)
    assert "signature" in broken(signed | {"payload": other["payload"]}, public)
    assert broken(made(), public)["signature"] == ("attestation.json is not signed",)
    assert "signature" in broken(signed | {"signatures": []}, public)


@pytest.mark.parametrize("name", ["/etc/passwd", "data/select/lalp/../../../secret", "params.yaml"])
def test_it_makes_nobody_read_other_files(name: str):
    content = made()
    content["subject"].append({"name": name, "digest": {"md5": "0" * 32}})
    assert any("which is no file of a curated set" in said for said in broken(content)["attestation"])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"payload": "AA==", "payloadType": "x", "signatures": 3}'])
def test_what_is_no_statement_is_one_sentence(text: str):
    Path("a.json").write_text(text)
    with pytest.raises(LineageError, match=r"a\.json is no statement of 'stepsift attest'"):
        check_attestation(Path("a.json"), None, read(project.LOCK))


def test_keys_that_are_none():
    Path("none.pem").write_text("hello")
    with pytest.raises(LineageError, match="is no private key that can be used"):
        sign(made(), Path("none.pem"))
    locked, _ = write_keys("locked", b"word")
    with pytest.raises(LineageError, match="STEPSIFT_KEY_PASSPHRASE"):
        sign(made(), locked)
    assert sign(made(), locked, "word")["signatures"]
    disk.write_json(sign(made(), write_keys("team")[0]), Path("a.json"))
    with pytest.raises(LineageError, match="is no public key in PEM"):
        check_attestation(Path("a.json"), Path("none.pem"), read(project.LOCK))


def test_the_command(run_cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outputs, "subprocess", SimpleNamespace(run=dvc_here))
    private, public = write_keys("team")
    code, out, err = run_cli("attest", "lalp", "--key", str(private))
    assert (code, err) == (0, [])
    assert out[0].startswith("attestations/lalp.intoto.json: ")
    code, out, _ = run_cli("verify", "--fast", "--attestation", "attestations/lalp.intoto.json", "--key", str(public))
    assert code == 0
    assert [line.split()[:2] for line in out[-2:]] == [["ok", "signature"], ["ok", "attestation"]]
    content = json.loads(Path("attestations/lalp.intoto.json").read_text())
    Path("attestations/lalp.intoto.json").write_text(json.dumps(content | {"payload": "AAAA"}))
    code, _, err = run_cli("verify", "--fast", "--attestation", "attestations/lalp.intoto.json", "--key", str(public))
    assert code == 1


def test_what_cannot_be_checked_is_said_before_anything_is_computed(run_cli):
    _, public = write_keys("team")
    code, out, err = run_cli("verify", "--attestation", "nowhere.json")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("error: nowhere.json is no statement of 'stepsift attest'")
    code, out, err = run_cli("verify", "--key", str(public))
    assert (code, out) == (1, [])
    assert err == ["error: --key checks the signature of a statement; name the statement with --attestation FILE"]
