"""A team shares a remote: what one clone pushed, another pulls, and then has nothing to run.

The remotes are real: a folder, an OpenSSH server of this machine on a port and with keys of its own, and an S3
endpoint. The latter is moto's server, which stands in for S3: it speaks S3's protocol and keeps the objects in memory.
"""

import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.pipeline_repo import STAGES, commit, ok

pytestmark = pytest.mark.system

Modify = Callable[[Path], None]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server that answers on a port."""
    with log.open("w") as f, subprocess.Popen(command, stdout=f, stderr=f) as server:
        try:
            for _ in range(300):
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            server.terminate()


def set_local(*options: tuple[str, str]) -> Modify:
    """Settings of a remote that each clone has for itself."""

    def modify(clone: Path) -> None:
        for name, value in options:
            ok(clone, "dvc", "remote", "modify", "--local", "shared", name, value)

    return modify


@contextmanager
def folder(tmp_path: Path, _: pytest.MonkeyPatch) -> Iterator[tuple[str, Modify]]:
    """A folder that both clones see."""
    yield str(tmp_path / "remote"), set_local()


@contextmanager
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Modify]]:
    """OpenSSH's server on this machine; the client's keys and known hosts are in a home of the test's own."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if sshd is None or importlib.util.find_spec("dvc_ssh") is None:
        pytest.skip("no OpenSSH server, or no dvc-ssh, is installed here")
    if os.geteuid() == 0:  # sshd wants its empty folder, which a start by systemd would have made
        Path("/run/sshd").mkdir(exist_ok=True)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for key in (tmp_path / "host", tmp_path / "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/client.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    host_key = " ".join((tmp_path / "host.pub").read_text().split()[:2])
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with serving([sshd, "-D", "-e", "-f", str(config)], port, tmp_path / "sshd.log"):
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/remote"
        yield url, set_local(("keyfile", str(tmp_path / "client")))


@contextmanager
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Modify]]:
    """moto's server in the place of S3."""
    if any(importlib.util.find_spec(name) is None for name in ("dvc_s3", "moto", "boto3")):
        pytest.skip("no dvc-s3, or no moto, is installed here")
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, tmp_path / "moto.log"):
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="team")
        yield "s3://team/stepsift", set_local(("endpointurl", endpoint))


@pytest.mark.parametrize("kind", [folder, ssh, s3], ids=["folder", "ssh", "s3"])
def test_a_fresh_clone_pulls_and_runs_nothing(
    kind: Callable[..., object], added: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with kind(tmp_path, monkeypatch) as (url, modify):  # type: ignore[attr-defined]
        # What the remote before had of its own is none of this one's.
        (added / ".dvc/config.local").unlink(missing_ok=True)
        ok(added, "dvc", "remote", "add", "--force", "-d", "shared", url)
        modify(added)
        commit(added, f"remote {url}")
        ok(added, sys.executable, "-m", "stepsift.recurate.push_runs")

        mate = tmp_path / "mate"
        ok(added, "git", "clone", "-q", str(added), str(mate))
        modify(mate)
        ok(mate, sys.executable, "-m", "stepsift.recurate.check_lock")
        ok(mate, "dvc", "pull", "--run-cache")
        assert "Running stage" not in ok(mate, "dvc", "repro")
        assert ok(mate, "git", "status", "--porcelain") == ""

        # The run cache is shared: without dvc.lock and outputs, all come from what the first clone ran.
        lock = (mate / "dvc.lock").read_bytes()
        (mate / "dvc.lock").unlink()
        shutil.rmtree(mate / "metrics")
        for stage in STAGES[:6]:
            shutil.rmtree(mate / "data" / stage)
        said = ok(mate, "dvc", "repro", "--pull")
        assert "Running stage" not in said
        assert all(f"Stage '{stage}' is cached - skipping run" in said for stage in STAGES)
        assert (mate / "dvc.lock").read_bytes() == lock
        assert ok(mate, "git", "status", "--porcelain") == ""
