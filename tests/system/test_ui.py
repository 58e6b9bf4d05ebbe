"""`stepsift ui` for real: MLflow's pages answer at the address that it prints, and end with it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from stepsift.commands import main as cli

SRC = Path(cli.__file__).parents[2]


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_pages_are_there_until_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "params.yaml").write_text("tracking: {}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A shell that starts tests in the background has them ignore Ctrl-C, and all that they start.
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from stepsift.commands.main import main; main()"
    )
    command = [sys.executable, "-c", start, "ui", "--port", str(port)]
    pipe = subprocess.PIPE
    # Which MLflow would obey, and nobody could open the pages.
    environment = os.environ | {"PYTHONPATH": str(SRC), "MLFLOW_HOST": "127.0.0.9"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=machine_learning"
        assert line == f"MLflow is on {url} (stop it with Ctrl-C)\n", process.stderr and process.stderr.read()
        with urllib.request.urlopen(url, timeout=60) as page:
            assert (page.status, b"MLflow" in page.read()) == (200, True)
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert (process.returncode, out, err) == (128 + number, "", "stopped\n")
    for _ in range(50):  # nobody is left on the port
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.1)
    else:
        pytest.fail("MLflow's server is still there")
