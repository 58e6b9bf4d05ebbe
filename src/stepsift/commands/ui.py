"""The command `ui`: MLflow's pages in a browser of this machine, on the runs of this repository."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from stepsift import params
from stepsift.commands.arguments import LAST_PORT, port
from stepsift.core.console import Voice
from stepsift.core.errors import TrackingError

LOG = Path(".stepsift/mlflow-ui.log")
"""What MLflow's server says."""
_QUIETLY = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
"""No processes that wait for jobs of chats and agents, of which there are none here."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift ui`."""
    text = "of this machine, from which alone the pages can be opened (default: %(default)s)"
    parser.add_argument("--port", type=port, default=5000, help=text)


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Serve the runs until Ctrl-C, and say where as soon as they can be seen; a server that params.yaml names is there
    already.

    Raises TrackingError if the port is taken, the runs cannot be reached or MLflow ends by itself.
    """
    from stepsift import tracking

    settings = params.load().tracking
    uri = tracking.setup(settings)
    page = tracking.runs_page(settings)
    if uri.startswith(("http://", "https://")):
        url = f"{uri.rstrip('/')}/{page}"
        voice.lines([f"MLflow is a server already: open {url}"])
        voice.data({"url": url, "tracking_uri": uri})
        return
    if _taken(args.port):
        raise TrackingError(
            f"port {args.port} is taken, perhaps by MLflow's pages that are open already; stop what uses it, or choose "
            f"another: stepsift ui --port {args.port % LAST_PORT + 1}"
        )
    server = _start(uri, args.port)
    try:
        while server.poll() is None and not _taken(args.port):
            time.sleep(0.2)
        if server.poll() is None:
            url = f"http://127.0.0.1:{args.port}/{page}"
            voice.lines([f"MLflow is on {url} (stop it with Ctrl-C)"])
            voice.data({"url": url, "tracking_uri": uri})
        # Not wait(), out of which Ctrl-C was seen not to come here.
        while server.poll() is None:
            time.sleep(0.2)
        raise TrackingError(f"MLflow's server ended by itself, with exit code {server.returncode}; {LOG} has its words")
    finally:
        # The server and its worker, wherever the signal came from.
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _start(uri: str, number: int) -> "subprocess.Popen[bytes]":
    # Named, for MLflow would take another from its environment and open the runs to the network.
    where = ["--host", "127.0.0.1", "--port", str(number)]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, *where]
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [*command, "--workers", "1"], stdout=log, stderr=log, env=os.environ | _QUIETLY, start_new_session=True
        )


def _taken(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return True
    return False
