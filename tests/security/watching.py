"""Watching what a program leaves behind and whom it calls."""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

# W&B's log files come in blocks, each record of them with a head that may cut a word in two.
_BLOCK, _HEAD = 32768, 7

_RECORDER = """\
import os, socket
HERE = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)

def note(what, host):
    if isinstance(host, bytes):
        host = host.decode()
    if host not in HERE:
        with open(os.environ["CALLS"], "a") as file:
            file.write(f"{what} {host}\\n")
        raise OSError("no network here")

def watched(name):
    call = getattr(socket.socket, name)
    def watching(self, *given):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            note(name, given[-1][0])
        return call(self, *given)
    setattr(socket.socket, name, watching)

for name in ("connect", "connect_ex", "sendto"):
    watched(name)
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    def looking(host, *given, call=getattr(socket, name), name=name, **options):
        note(name, host)
        return call(host, *given, **options)
    setattr(socket, name, looking)
"""


@contextmanager
def recorded_calls(folder: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """An environment in which no process reaches the network, and a list of those who tried.

    Python's sockets are watched in every process; programs in other languages come by the proxy
    that the environment names, which answers nobody.

    Args:
        folder: for files of its own.
    """
    calls: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_RECORDER)
    (folder / "calls.txt").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                try:
                    caller, _ = server.accept()
                except TimeoutError:
                    continue
                with caller:
                    caller.settimeout(1)
                    try:
                        calls.append(f"proxy {caller.recv(200)!r}")
                    except OSError:
                        calls.append("proxy")

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "all_proxy")
        environment = {name: proxy for lower in names for name in (lower, lower.upper())}
        environment |= {"CALLS": str(folder / "calls.txt"), "PYTHONPATH": str(folder)}
        environment |= {"no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
        # What is asked for offline in the tests' own environment is not asked for by a user.
        environment |= {"HF_HUB_OFFLINE": "0"}
        try:
            yield environment, calls
        finally:
            ended.set()
            thread.join()
            calls += (folder / "calls.txt").read_text().splitlines()


def finds(folder: Path, words: Mapping[str, str]) -> list[str]:
    """Where words stand in the files below a folder, inside tables and archives, too.

    Args:
        folder: what to search.
        words: what to search for, by name.

    Returns:
        ``file: name`` of each find.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        for part, content in _contents(path):
            found += [
                f"{path.relative_to(folder)}{part}: {name}"
                for name, word in words.items()
                if word.encode() in content or word.encode() in str(path).encode()
            ]
    return found


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    whole = path.read_bytes()
    yield "", whole
    if path.suffix == ".wandb":
        blocks = [whole[k : k + _BLOCK] for k in range(0, len(whole), _BLOCK)]
        yield "", b"".join(block[_HEAD:] for block in blocks)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield f"/{name}", archive.read(name)
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield "", str(table.schema.metadata).encode()
        yield "", str(table.to_pydict()).encode()


def environment_without_proxies() -> dict[str, str]:
    """This process's environment without what would lead calls elsewhere."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
