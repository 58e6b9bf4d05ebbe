"""One request to an endpoint that speaks OpenAI's chat completions, repeated where it got no answer.

The key comes from the environment, goes into one header, and is cut out of whatever the server says before anybody
sees it. Redirects are not followed, so it reaches no other host. TLS and proxies are httpx's own defaults. An answer is
read up to MOST_BYTES and not beyond, and given up with the first piece of it that comes after `timeout_s`.
"""

import email.utils
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2

from stepsift import params
from stepsift.core.errors import SplitterError
from stepsift.core.text import one_line
from stepsift.segment.llm.answer import UnusableError

KEY_VARIABLE = "STEPSIFT_LLM_KEY"
MOST_BYTES = 2 * 2**20
"""Of a response's body."""
MOST_WAIT_S = 300.0
"""An endpoint that wants a longer wait than this gets no further request for this piece."""
_FIRST_WAIT_S, _LONGEST_OWN_WAIT_S = 1.0, 60.0
_STOPPING = frozenset({401, 402, 403, 404, 405})
"""What no other sentence would change: a wrong key, no credit, a wrong address."""
_AGAIN = frozenset({408, 409, 425, 429, *range(500, 600)})


class NoAnswerError(Exception):
    """A request that got no answer: `reason` is the word that it is counted by. `is_final`: it is not repeated."""

    def __init__(self, reason: str, text: str, wait_s: float | None = None, is_final: bool = False):
        self.reason, self.wait_s, self.is_final = reason, wait_s, is_final
        super().__init__(text)


def key_of_environment() -> str | None:
    """The key, without white space around it; raises SplitterError, which does not show it, where it cannot be one."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if any(not 32 < ord(character) < 127 for character in key):
        raise SplitterError(
            f"{KEY_VARIABLE} holds a character that no key has (white space, a control character or a letter outside "
            "ASCII); set it to the key alone"
        )
    return key or None


def host_of(url: str) -> str:
    """Host and port of an address."""
    return urlsplit(url).netloc


class Endpoint:
    """Where a model is asked; a context manager. `sleep` and `clock` take and give seconds (tests have their own)."""

    def __init__(
        self,
        settings: params.Llm,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._settings, self._clock = settings, clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._key = key_of_environment()
        base = settings.url.rstrip("/")
        self._url = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        # Not compressed: a small body could unpack to a large one.
        headers = {"Accept-Encoding": "identity", "User-Agent": "stepsift"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx2.Limits(max_connections=settings.workers, max_keepalive_connections=settings.workers)
        try:
            self._client = httpx2.Client(headers=headers, timeout=settings.timeout_s, limits=limits)
        except (ValueError, ImportError, httpx2.InvalidURL):
            # What is wrong with it may hold its password.
            raise SplitterError(
                "a proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be used; correct it, "
                f"or put {host_of(settings.url)} into NO_PROXY"
            ) from None

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._client.close()

    def ask(self, messages: list[dict[str, str]], may_send: Callable[[], bool]) -> str:
        """What the model answers to these messages.

        `may_send` is asked before each repetition. Raises UnusableError where there is an answer that cannot be used,
        NoAnswerError where there is none after the last repetition, SplitterError where none will ever come.
        """
        body = self.body(messages)
        for attempt in range(self._settings.retries + 1):
            try:
                return self._ask_once(body)
            except NoAnswerError as e:
                wait_s = e.wait_s if e.wait_s is not None else min(_FIRST_WAIT_S * 2**attempt, _LONGEST_OWN_WAIT_S)
                if e.is_final or attempt == self._settings.retries or wait_s > MOST_WAIT_S or not may_send():
                    raise
                self._sleep(wait_s)
                if self._stopped.is_set():
                    raise
        raise AssertionError

    def body(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """The body of a request, as JSON holds it."""
        settings = self._settings
        limit = {} if settings.max_tokens is None else {"max_tokens": settings.max_tokens}
        own = {"model": settings.model, "messages": messages, "temperature": settings.temperature}
        return {**settings.extra, **own, **limit}

    def _ask_once(self, body: dict[str, Any]) -> str:
        stop_s = self._clock() + self._settings.timeout_s
        try:
            with self._client.stream("POST", self._url, json=body) as response:
                content = self._read(response, stop_s)
                status, retry_after = response.status_code, response.headers.get("Retry-After")
        except httpx2.TimeoutException:
            raise NoAnswerError("timeout", f"no answer within {self._settings.timeout_s:g} s") from None
        except httpx2.ConnectError as e:
            raise NoAnswerError("unreachable", f"no connection ({self._shown(str(e))})") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, RuntimeError) as e:
            # RuntimeError: the client was closed meanwhile.
            raise NoAnswerError(
                "unreachable", f"the connection broke ({self._shown(str(e)) or type(e).__name__})"
            ) from None
        self._require_success(status, content, retry_after)
        return _text_of(content)

    def _read(self, response: httpx2.Response, stop_s: float) -> bytes:
        content = bytearray()
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > MOST_BYTES:
                raise NoAnswerError("too_long", f"an answer of more than {MOST_BYTES:,} bytes", is_final=True)
            if self._clock() > stop_s:
                raise NoAnswerError("timeout", f"no whole answer within {self._settings.timeout_s:g} s")
        return bytes(content)

    def _require_success(self, status: int, content: bytes, retry_after: str | None) -> None:
        """Raise what a status other than 200 comes to."""
        if status == HTTPStatus.OK:
            return
        said = f"HTTP {status}: {self._shown(content.decode('utf-8', 'replace'))}"
        if 300 <= status < 400 or status in _STOPPING:
            what = "a redirect, which is not followed" if status < 400 else said
            raise SplitterError(
                f"{host_of(self._url)} refuses to be asked for {self._settings.model} ({what}); correct "
                f"segment.llm.url or model, set the key in {KEY_VARIABLE}, or set segment.unit to paragraph. What was "
                "answered before is in the cache"
            )
        if status in _AGAIN:
            reason = "rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "server_error"
            raise NoAnswerError(reason, said, wait_s=_seconds(retry_after))
        raise NoAnswerError("refused", said, is_final=True)

    def _shown(self, text: str) -> str:
        """Foreign text for a message of ours: in one short line, without the key."""
        return one_line(text.replace(self._key, "***") if self._key else text, 200)


def _seconds(retry_after: str | None) -> float | None:
    """What a `Retry-After` asks for, in seconds or as a date; None where it says nothing that can be read."""
    if retry_after is None:
        return None
    try:
        return float(min(max(0, int(retry_after)), sys.maxsize))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _text_of(content: bytes) -> str:
    """The text in a chat completion; raises NoAnswerError where the body is none, UnusableError where it was cut."""
    try:
        choice = json.loads(content)["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise NoAnswerError("no_completion", "what came is no chat completion") from None
    if isinstance(text, list):  # parts, of which those of text are the answer
        text = "".join(p["text"] for p in text if isinstance(p, dict) and isinstance(p.get("text"), str))
    if choice.get("finish_reason") == "length":
        raise UnusableError("cut_off", "the answer is longer than segment.llm.max_tokens")
    if not isinstance(text, str):
        raise UnusableError("no_groups", "the answer holds no text")
    return text
