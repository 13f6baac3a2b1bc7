"""A small local server that speaks the chat protocol, well and badly."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

USAGE = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}


def chat(text: str | None, usage: dict[str, int] | None = USAGE, **message: Any) -> bytes:
    """The body of a good response."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    choice["finish_reason"] = "stop"
    body = {"id": "1", "object": "chat.completion", "model": "seer-1", "choices": [choice]}
    return json.dumps(body if usage is None else {**body, "usage": usage}).encode()


@dataclass
class Response:
    """What the server does with one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class Seen:
    """What the server has seen of one request."""

    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    digest: str
    pixels: np.ndarray
    answered: bool = False


class ChatServer:
    """Scripted responses first, then what ``answer`` says of a request."""

    def __init__(self) -> None:
        self.script: deque[Response] = deque()
        self.answer: Callable[[Seen], Response] = lambda _: Response(chat("happy"))
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def times_answered(self) -> Counter[str]:
        """How often each image was answered with 200."""
        return Counter(each.digest for each in self.seen if each.answered)

    def handle(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[Response, Seen]:
        url = body["messages"][-1]["content"][1]["image_url"]["url"]
        content = base64.b64decode(url.split(",", 1)[1], validate=True)
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        seen = Seen(body, headers, time.monotonic(), str(hash(pixels.tobytes())), pixels)
        with self._lock:
            self.seen.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            scripted = self.script.popleft() if self.script else None
        response = scripted or self.answer(seen)
        time.sleep(response.delay)
        with self._lock:
            self._at_once -= 1
        return response, seen


@contextmanager
def serving() -> Iterator[tuple[ChatServer, str]]:
    """A server while the block lasts, and its base URL."""
    server = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = json.loads(self.rfile.read(length))
            if self.path != "/v1/chat/completions":
                self.send_error(404)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            response, seen = server.handle(request, headers)
            try:
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)
                seen.answered = response.status == 200
            except OSError:  # who asked has gone
                self.close_connection = True

        def log_message(self, *words: Any) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *words: Any) -> None:
            return

    listener = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{listener.server_port}/v1"
    finally:
        listener.shutdown()
        listener.server_close()
