"""A server on this machine that speaks chat completions, well or badly: what it answers is a function of the test."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = BaseHTTPRequestHandler


@dataclass
class ChatServer:
    """`url` as segment.llm.url wants it, and bodies and headers of all requests as they came."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


Answer = Callable[[Handler, dict[str, Any], int], None]
"""Answers a request: its handler, its body, and its number from 0."""


@contextmanager
def chat_server(answer: Answer) -> Iterator[ChatServer]:
    """Serve until the block ends."""
    lock = threading.Lock()

    class Chat(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(served.bodies)
                served.bodies.append(body)
                served.headers.append(dict(self.headers))
            try:
                answer(self, body, number)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    server.daemon_threads = True
    served = ChatServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: Handler, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
    """A whole response."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def completion(handler: Handler, text: object, finish: str = "stop") -> None:
    """A chat completion that says `text`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    send(handler, 200, json.dumps({"choices": [choice]}).encode(), {"Content-Type": "application/json"})


def n_sentences(body: dict[str, Any]) -> int:
    """How many sentences a request numbers."""
    return len(re.findall(r"^\[\d+\] ", body["messages"][-1]["content"], re.MULTILINE))


def in_pairs(handler: Handler, body: dict[str, Any], _: int) -> None:
    """Answers well: two sentences a group."""
    numbers = [*range(1, n_sentences(body) + 1)]
    completion(handler, json.dumps({"groups": [numbers[i : i + 2] for i in range(0, len(numbers), 2)]}))
