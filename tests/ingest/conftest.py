"""What the tests of ingest share."""

import pytest


@pytest.fixture(autouse=True)
def _judges(shared_judges: None) -> None:
    """What is tested here is what becomes of verdicts."""
