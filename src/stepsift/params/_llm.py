"""The section `segment.llm`: which language model groups sentences into steps, and how it is asked."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from stepsift.params._section import Section, Text

_OURS = frozenset({"model", "messages", "temperature", "max_tokens", "stream", "n"})
"""Keys of a request that are set by us."""


class Llm(Section):
    """A language model behind an endpoint that speaks OpenAI's chat completions; its key is in the environment alone,
    in `STEPSIFT_LLM_KEY`."""

    url: Text
    """Where it is asked: what stands before `/chat/completions`, such as `http://localhost:8000/v1`. Responses are sent
    there. Answers are cached whatever it is."""
    model: Text
    """Name of the model, as the endpoint knows it."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Of its answers; 0: the most probable one."""
    max_tokens: Annotated[int, Field(ge=16, le=1_000_000)] | None = 4_096
    """Most tokens of an answer; more for a model that thinks before it answers. null: not said, for endpoints that
    refuse it."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further keys of each request (`response_format: {type: json_object}`). No secrets: it is stored and logged."""
    max_sentences: Annotated[int, Field(ge=2, le=2_000)] = 100
    """Most sentences of one request; a longer trace is asked about in pieces, and no step spans two."""
    max_chars: Annotated[int, Field(ge=1_000, le=1_000_000)] = 20_000
    """Most characters of one request's sentences, unless a single one is longer."""
    fallback: Literal["sentence", "line", "paragraph", "marker"] = "paragraph"
    """Rules by which a trace is cut that the model did not group; `paragraph` is closest to groups in size."""
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    """How many requests are under way at once. The output does not depend on it."""
    timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    """Seconds that one request may take."""
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    """How often a request is repeated that got no answer (no connection, a timeout, HTTP 429 and 5xx); waits double
    from one second, and `Retry-After` is kept to."""
    max_requests: Annotated[int, Field(ge=0)] | None = 10_000
    """Most requests of one run, repeated ones counted; traces for which none are left fall back. null: no limit; 0:
    only what is cached."""

    @field_validator("url")
    @classmethod
    def _an_address_without_secrets(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or any(c.isspace() or ord(c) < 32 for c in value):
            raise ValueError("must be an address such as https://host/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("must hold no user, password, query or fragment; the key goes into STEPSIFT_LLM_KEY")
        return value

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        if ours := sorted(_OURS & value.keys()):
            raise ValueError(f"must not hold {', '.join(ours)}, which stepsift sets itself")
        return value
