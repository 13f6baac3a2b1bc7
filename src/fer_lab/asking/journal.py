"""What has been sent and answered, line by line in a file that survives a kill."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from fer_lab.errors import ConfigError, DataError

Event = Literal["sent", "answered", "failed"]
EVENTS: Final = ("sent", "answered", "failed")


class Journal:
    """A file of JSON lines, written by one process at a time.

    A line is ``sent`` before each request, ``answered`` or ``failed`` after it, with the image's
    ``id`` and the ``key`` of all that the question consists of. What was sent and has no line
    after it was under way when the process died: it may have been paid, and is in ``open``.

    Args:
        path: the file; made where it is missing.

    Attributes:
        answers: the ``answered`` lines by id and key.
        spent: every line of earlier processes that may have cost something: each request once,
            ``answered``, ``failed``, or ``sent`` without an outcome.
        open: those without an outcome.
        locked: whether other processes are kept out; some network folders know no locks.
        torn: whether a last line without its end was set aside, in ``<path>.torn``.

    Raises:
        ConfigError: when another process writes it.
        DataError: for a file that is no journal; naming the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self.spent: list[dict[str, Any]] = []
        self.locked = True
        self.torn = False
        if path.is_dir():
            raise ConfigError("a journal is a file, not a folder", where=path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            self.open = self._read()
            self.spent += self.open
        except BaseException:
            os.close(self._file)
            raise

    def append(self, event: Event, identity: str, key: str, **facts: Any) -> dict[str, Any]:
        """Write one line, whole and on the disk before this returns."""
        line = {"event": event, "id": identity, "key": key, "at": _now(), **facts}
        text = json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n"
        content = text.encode()
        before = os.fstat(self._file).st_size
        if os.write(self._file, content) != len(content):
            os.ftruncate(self._file, before)  # or the next line would begin in the midst of this
            raise OSError(28, "the disk is full", str(self.path))
        os.fsync(self._file)
        if event == "answered":
            self.answers[identity, key] = line
        return line

    def close(self) -> None:
        """Let others write."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "another run writes that journal",
                where=self.path,
                hint="wait for it, or stop it; two runs with one journal would pay twice",
            ) from error
        except OSError:
            self.locked = False

    def _read(self) -> list[dict[str, Any]]:
        """Take in what is there; returns what was under way."""
        content = self.path.read_bytes()
        whole, _, tail = content.rpartition(b"\n")
        if tail:
            self._mend(tail, len(content) - len(tail))
            if not self.torn:
                whole = content
        pending: dict[tuple[str, str], dict[str, Any]] = {}
        unsettled: list[dict[str, Any]] = []
        for number, text in enumerate(whole.split(b"\n") if whole else [], start=1):
            line = _line(text)
            if line is None:
                raise DataError(
                    "a line of the journal cannot be read",
                    where=f"{self.path}, line {number}",
                    hint="take that line out, or name another journal=FILE",
                )
            known = (line["id"], line["key"])
            if line["event"] == "sent":
                if known in pending:
                    unsettled.append(pending[known])
                pending[known] = line
                continue
            pending.pop(known, None)
            self.spent.append(line)
            if line["event"] == "answered":
                self.answers[known] = line
        return [*unsettled, *pending.values()]

    def _mend(self, tail: bytes, start: int) -> None:
        """End a last line that has no end, or set it aside where it is cut short."""
        if _line(tail) is not None:
            os.write(self._file, b"\n")
            return
        self.torn = True
        with self.path.with_name(f"{self.path.name}.torn").open("ab") as aside:
            aside.write(tail + b"\n")
        os.ftruncate(self._file, start)


def _line(text: bytes) -> dict[str, Any] | None:
    """A line of a journal, None for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, Mapping) or found.get("event") not in EVENTS:
        return None
    texts = ("id", "key", *(("text",) if found["event"] == "answered" else ()))
    return dict(found) if all(isinstance(found.get(name), str) for name in texts) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
