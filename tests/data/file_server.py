"""A local server of files that remembers what was asked of it, and fails when it is told to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FileServer:
    """What a server was asked for, and how it answers.

    Attributes:
        url: of its folder.
        asked: how often each file was asked for.
        statuses: what is answered to the next requests for a file, one each; 200 sends the file.
        damaged: files that are sent with another last byte, as often as said.
        cut: files of which half is sent, as often as said.
        pause: seconds in the middle of every file.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: Counter[str] = Counter()
        self.statuses: dict[str, list[int]] = {}
        self.damaged: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.pause = 0.0

    def shards(self) -> dict[str, int]:
        """How often each shard was asked for."""
        return {name: count for name, count in self.asked.items() if name.endswith(".tar")}


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, server_facts: list[FileServer], **options: Any) -> None:
        self.facts = server_facts[0]
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        facts = self.facts
        facts.asked[name] += 1
        waiting = facts.statuses.get(name)
        if waiting and (status := waiting.pop(0)) != 200:
            self.send_error(status)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if facts.damaged[name]:
            facts.damaged[name] -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        half = len(content) // 2
        try:
            self.wfile.write(content[:half])
            time.sleep(facts.pause)
            if facts.cut[name]:
                facts.cut[name] -= 1
                self.close_connection = True
            else:
                self.wfile.write(content[half:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """Serve a folder at a port of this machine."""
    facts: list[FileServer] = []
    handler = partial(_Handler, directory=str(folder), server_facts=facts)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        facts.append(FileServer(f"http://127.0.0.1:{server.server_port}"))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield facts[0]
        finally:
            server.shutdown()
            thread.join()
