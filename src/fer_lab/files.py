"""Writing that is either whole or not there: everything a run leaves behind goes through here."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

# How the name of a file begins that is still being written.
UNFINISHED: Final = ".unfinished-"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its place when the block ends well.

    The temporary name keeps the suffix, since many writers choose a format by it. Readers see
    the old file or the new one, never a part; an exception removes the temporary file.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f"{UNFINISHED}{target.stem}-", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        if error.filename in (None, name):  # the file that does not fit, by its own name
            error.filename = os.fspath(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike[str]) -> int:
    """Remove what a process that was killed had not finished writing, at any depth.

    Args:
        folder: nothing else may be writing into it.

    Returns:
        How many files there were.
    """
    left = list(Path(folder).rglob(f"{UNFINISHED}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def write_json(path: str | os.PathLike[str], content: Any, *, in_place: bool = False) -> None:
    """Write ``content`` as strict JSON (no NaN: undefined figures are ``null`` by then).

    Args:
        path: the file.
        content: of plain containers.
        in_place: whether a full disk is written to all the same, over the old content, as far as
            that has room: files take up whole blocks.

    Raises:
        OSError: when the disk has no room.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        if not in_place or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        encoded = text.encode()
        if not Path(path).is_file() or len(encoded) > 512 * (there := Path(path).stat()).st_blocks:
            raise
        with Path(path).open("r+b", buffering=0) as file:
            file.write(encoded.ljust(there.st_size))  # in one call, with spaces for what was longer


def file_digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
