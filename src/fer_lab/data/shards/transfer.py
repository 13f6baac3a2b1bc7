"""Files from a URL: tried again when a server is busy, whole or not there.

http and https go through httpx, other schemes through webdataset's ``gopen`` (which calls gsutil,
curl, ais …). Its ``pipe:`` would run commands and is refused.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from typing import BinaryIO, Final
from urllib.parse import urlsplit

import httpx

from fer_lab.data.shards.index import StoredFile
from fer_lab.errors import ConfigError, DataError

OTHER_SCHEMES: Final = ("gs", "hf", "ais", "sftp", "ftps", "scp")

TRIES: Final = 5
# Seconds before the second try; each further pause is twice as long.
_PAUSE: Final = 0.5
# A server that says nothing for so long (seconds) is asked again.
_TIMEOUT: Final = httpx.Timeout(30, connect=10)
# Answers of servers that are busy, or behind one that is.
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)
_BLOCK: Final = 1 << 20

_log = logging.getLogger(__name__)


class _PassingError(Exception):
    """What may go well the next time."""


def is_url(root: object) -> bool:
    """Whether a root is the address of a server, not a folder."""
    return "://" in str(root) or str(root).startswith("pipe:")


def checked_url(root: str) -> str:
    """A URL below which files can be asked for, without its last slash.

    Raises:
        ConfigError: for a scheme that cannot be read, and for a password or a query in it, which
            would stand in every record of the run.
    """
    parts = urlsplit(root)
    if parts.scheme not in ("http", "https", *OTHER_SCHEMES):
        raise ConfigError(
            f"shards cannot be read from {parts.scheme}:",
            where="dataset.root",
            hint=f"a folder, or a URL of http, https, {', '.join(OTHER_SCHEMES)}",
        )
    if parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "the URL of shards holds a password or a query, which every record would show",
            where="dataset.root",
            hint="give the plain address of the folder; passwords of http go into ~/.netrc",
        )
    return root.rstrip("/")


def download(address: str, target: BinaryIO, known: StoredFile | None = None) -> None:
    """Write what an address holds into an open file, from its beginning.

    Args:
        address: of the file.
        target: where to; holds the file and nothing else afterwards.
        known: its size and digest, where they are known.

    Raises:
        DataError: when it is not there or may not be read, and when :data:`TRIES` tries gave
            nothing, or another file than the one known.
    """
    # It would tell of every request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for number in range(TRIES):
        if number:
            time.sleep(_PAUSE * 2 ** (number - 1))
        try:
            _copy(address, target, known)
            return
        except _PassingError as error:
            reason = str(error)
            _log.debug("try %d of %d for %s: %s", number + 1, TRIES, address, reason)
    raise DataError(
        f"a file of the shards cannot be fetched: {reason} ({TRIES} tries)",
        where=address,
        hint="if the server is well, its files and their index are of different times:"
        " write or copy them anew",
    )


def _copy(address: str, target: BinaryIO, known: StoredFile | None) -> None:
    digest, size = hashlib.sha256(), 0
    target.seek(0)
    for block in _blocks(address):
        size += len(block)
        if known is not None and size > known.size:
            raise _PassingError(f"it has more than the {known.size} bytes of the index")
        target.write(block)
        digest.update(block)
    target.truncate()
    target.flush()
    if known is not None and size != known.size:
        raise _PassingError(f"{size} bytes came of the {known.size} of the index")
    if known is not None and digest.hexdigest() != known.sha256:
        raise _PassingError("its content is not that of the index")


def _blocks(address: str) -> Iterator[bytes]:
    scheme = urlsplit(address).scheme
    return _http_blocks(address) if scheme in ("http", "https") else _other_blocks(address)


def _http_blocks(address: str) -> Iterator[bytes]:
    # Nothing may be packed on the way: sizes and digests are those of the files.
    headers = {"Accept-Encoding": "identity"}
    try:
        with httpx.stream(
            "GET", address, headers=headers, timeout=_TIMEOUT, follow_redirects=True
        ) as answer:
            if answer.status_code in _PASSING:
                raise _PassingError(f"HTTP {answer.status_code}")
            if answer.status_code != httpx.codes.OK:
                raise DataError(
                    f"a file of the shards cannot be fetched: HTTP {answer.status_code}"
                    f" {answer.reason_phrase}",
                    where=address,
                    hint="look whether the address is right and the copy there complete",
                )
            yield from answer.iter_raw(_BLOCK)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ConfigError(f"this is no address: {error}", where="dataset.root") from error
    except httpx.HTTPError as error:
        raise _PassingError(f"{type(error).__name__} {error}".strip()) from error


def _other_blocks(address: str) -> Iterator[bytes]:
    try:
        from webdataset.gopen import gopen
    except ImportError as error:
        raise ConfigError(
            "webdataset is not installed, which opens such addresses",
            where=address,
            hint="pip install 'fer-lab[stream]'",
        ) from error
    try:
        with gopen(address, "rb") as stream:
            while block := stream.read(_BLOCK):
                yield block
    except FileNotFoundError as error:
        raise DataError(
            f"a file of the shards cannot be fetched: {error.filename} is not installed",
            where=address,
            hint="install it, or give a folder or an http address",
        ) from error
    except (OSError, ValueError, ImportError) as error:
        raise _PassingError(str(error)) from error
