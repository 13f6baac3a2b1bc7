"""A server that answers as W&B's does when a workspace is saved."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_VIEWER = {"id": "1", "entity": "lab", "username": "lab", "flags": "{}", "teams": {"edges": []}}


@contextmanager
def workspace_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and the variables of every workspace that was saved at it."""
    saved: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer: dict[str, Any] = {"viewer": _VIEWER}
            if b"upsertView" in body:
                saved.append(json.loads(body)["variables"])
                view = {"id": "1", "name": saved[-1]["name"]}
                answer = {"upsertView": {"view": view, "inserted": True}}
            content = json.dumps({"data": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", saved
    finally:
        server.shutdown()
        server.server_close()
