"""Silence what other libraries say while we call them and no user of ours can act on."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(*loggers: str) -> Iterator[None]:
    """No messages below an error from these loggers, and none of transformers' bars for loading and saving."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in loggers]
    for logger, _ in before:
        logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
