"""What runs programs in tests, where this machine can isolate them."""

import pytest

from stepsift.verify.code.judge import CodeRunner


def isolated_runner(timeout_s: float) -> CodeRunner:
    """A CodeRunner with a sandbox; skips where the machine has none, fails where one lets something through."""
    runner = CodeRunner(timeout_s)
    assert "does not prevent" not in runner.sandbox.reason
    if not runner.sandbox.command:
        pytest.skip(runner.sandbox.reason)
    return runner
