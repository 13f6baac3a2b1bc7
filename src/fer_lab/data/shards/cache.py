"""Shards on the local disk: a folder of them, or a cache of those fetched, of bounded size.

The cache is one folder for all processes of a machine. Files in it are named by their digests, so
that a name is a content. Who fetches a shard holds a lock on its unfinished file, which has its
full size from the beginning: what is counted is what the disk will hold, and a file that nobody
holds is one that a killed process has left.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from fer_lab.data.shards.index import StoredFile
from fer_lab.data.shards.transfer import download
from fer_lab.errors import DataError

_UNFINISHED: Final = ".unfinished-"
_LOCK: Final = ".lock"
# Seconds between two looks for room that others take up while they fetch.
_LOOK_AGAIN: Final = 0.05

# A shard that was fetched ahead counts as used so many seconds later than it was, until it is used.
_EXPECTED_WITHIN: Final = 600.0


class ShardFiles(Protocol):
    """Opens shards; picklable for worker processes."""

    def open(self, shard: StoredFile) -> BinaryIO:
        """The shard, whole, for reading."""
        ...

    def discard(self, shard: StoredFile) -> bool:
        """Forget a shard that is damaged; gives whether it can be had anew."""
        ...


class ShardFolder:
    """Shards in a folder, read where they lie.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, shard: StoredFile) -> BinaryIO:
        """The shard, for reading.

        Raises:
            DataError: when it is not there, or of another size than the index says.
        """
        path = self.root / shard.name
        try:
            file = path.open("rb")
        except OSError as error:
            raise DataError(
                f"a shard cannot be read: {error.strerror}",
                where=path,
                hint="it was there when the dataset was read; bring it back",
            ) from error
        size = os.fstat(file.fileno()).st_size
        if size != shard.size:
            file.close()
            raise DataError(
                f"a shard has {size} bytes, not the {shard.size} of the index",
                where=path,
                hint="copy or write the shards anew",
            )
        return file

    def discard(self, shard: StoredFile) -> bool:  # noqa: ARG002 - there is no other copy
        """Nothing: there is no other copy."""
        return False


class ShardCache:
    """Shards of a URL, fetched into a folder that never grows beyond a limit.

    Where there is no room, shards that were not used for the longest time go.

    Args:
        root: the URL of the shards' folder.
        folder: of the cache; made when it is not there.
        limit: of all files in it, in bytes.
    """

    def __init__(self, root: str, folder: Path, limit: int) -> None:
        self.root = root
        self.folder = folder
        self.limit = limit

    def open(self, shard: StoredFile) -> BinaryIO:
        """The shard, for reading; fetched when it is not there.

        Raises:
            DataError: when it cannot be fetched or written.
        """
        with self._written():
            while True:
                file = self._opened(shard) or self._fetch(shard, ())
                if file is not None:
                    file.seek(0)
                    return file
                time.sleep(_LOOK_AGAIN)

    def fetch_ahead(self, shard: StoredFile, held: Collection[StoredFile]) -> bool:
        """Fetch a shard that is not there, if that is possible without removing those held.

        Returns:
            Whether it is there.
        """
        with self._written():
            if self._path(shard).exists():
                return True
            file = self._fetch(shard, {self._path(each).name for each in held})
            if file is None:
                return False
            file.close()
            # It is not to go before what has been read.
            soon = time.time() + _EXPECTED_WITHIN
            with suppress(OSError):  # gone all the same
                os.utime(self._path(shard), (soon, soon))
            return True

    def discard(self, shard: StoredFile) -> bool:
        """Remove a shard, to be fetched anew."""
        self._path(shard).unlink(missing_ok=True)
        return True

    def _path(self, shard: StoredFile) -> Path:
        return self.folder / f"{shard.sha256}.tar"

    def _opened(self, shard: StoredFile) -> BinaryIO | None:
        path = self._path(shard)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        with suppress(OSError):  # removed by another since; the open file stays whole
            os.utime(path)
        return file

    def _fetch(self, shard: StoredFile, held: Collection[str]) -> BinaryIO | None:
        """Fetch a shard, or wait until another has; None where there is no room yet."""
        if shard.size > self.limit:
            raise DataError(
                f"a shard of {shard.size:,} bytes is larger than the cache of {self.limit:,}",
                where=f"{self.root}/{shard.name}",
                hint="give a larger dataset.cache_gb",
            )
        unfinished = self.folder / f"{_UNFINISHED}{shard.sha256}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if (file := self._opened(shard)) is not None:
                return file
            mine = _claimed(unfinished)
            if mine is not None and not self._has_room(shard.size, unfinished, held):
                _give_up(unfinished, mine)
                return None
            if mine is not None:
                _reserve(unfinished, mine, shard.size)
        if mine is None:
            _wait_for(unfinished)
            return self._opened(shard)
        return self._filled(shard, unfinished, mine)

    def _filled(self, shard: StoredFile, unfinished: Path, file: BinaryIO) -> BinaryIO:
        """Fetch into a file that this process has claimed, and give it its name."""
        try:
            download(f"{self.root}/{shard.name}", file, shard)
            os.fsync(file.fileno())
            with self._alone():
                unfinished.rename(self._path(shard))
        except BaseException:
            _give_up(unfinished, file)
            raise
        _release(file)
        return file

    def _has_room(self, size: int, own: Path, held: Collection[str]) -> bool:
        """Make room for a shard; whoever calls is alone."""
        total = 0
        removable: list[tuple[int, int, Path]] = []
        for path in self.folder.iterdir():
            if path == own or path.name == _LOCK:
                continue
            try:
                state = path.stat()
            except FileNotFoundError:  # given up, or discarded
                continue
            if path.name.startswith(_UNFINISHED):
                left = _claimed(path)
                if left is not None:  # of a process that was killed
                    _give_up(path, left)
                    continue
            elif path.name not in held:
                removable.append((state.st_mtime_ns, state.st_size, path))
            total += state.st_size
        removable.sort()
        for _, taken, path in removable:
            if total + size <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= taken
        return total + size <= self.limit

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Say what a disk has against keeping shards."""
        try:
            yield
        except OSError as error:
            raise DataError(
                f"a shard cannot be kept: {error.strerror or error}",
                where=self.folder,
                hint="free some space, choose another folder on a local disk (FER_LAB_CACHE=… or"
                " data.cache_dir=…), or a smaller dataset.cache_gb",
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process counts, removes or names files."""
        with (self.folder / _LOCK).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                _release(file)


def _claimed(path: Path) -> BinaryIO | None:
    """An unfinished file, made where it is not there; None where another fills it."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _reserve(path: Path, file: BinaryIO, size: int) -> None:
    """Give a claimed file its size, with the space for it."""
    try:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError:
        _give_up(path, file)
        raise


def _give_up(path: Path, file: BinaryIO) -> None:
    """Remove a claimed file."""
    path.unlink(missing_ok=True)
    _release(file)
    file.close()


def _wait_for(path: Path) -> None:
    """Wait until nobody fills an unfinished file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _release(file)


def _release(file: BinaryIO) -> None:
    """Give a lock back in so many words.

    Closing does not, if a process was forked meanwhile: it has the file open, and the lock with it.
    """
    fcntl.flock(file, fcntl.LOCK_UN)
