"""What lies in a folder of shards: ``shards.json`` names every file with its size and digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from fer_lab.data.assets import ARRAY_SHAPES
from fer_lab.errors import DataError

FILE: Final = "shards.json"
TABLE: Final = "manifest.parquet"

# Raise it when the files change their form.
_FORMAT: Final = 1
# Names are joined to folders and URLs, digests are names in the cache.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """A file beside the index.

    Attributes:
        name: without a folder.
        size: in bytes.
        sha256: of its content, in hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The files of a dataset in shards.

    Attributes:
        dataset: its name.
        faces: how many there are.
        shards: the tar files; the table counts them from 0.
        table: the manifest, with the place of each face.
        arrays: what stands beside the manifest, by name.
        dropped: rows set aside before, by reason.
    """

    dataset: str
    faces: int
    shards: tuple[StoredFile, ...]
    table: StoredFile
    arrays: Mapping[str, StoredFile] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Of all shards, in bytes."""
        return sum(shard.size for shard in self.shards)

    def content(self) -> dict[str, Any]:
        """The index as plain containers."""
        return {"format": _FORMAT} | asdict(self)


def parse(text: str | bytes, where: str) -> Index:
    """Read an index.

    Raises:
        DataError: when it is not one, of another format, or names a file outside its folder.
    """
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise DataError(
                f"the shards are of format {content['format']}, not {_FORMAT}",
                where=where,
                hint="write them anew with `fer-lab shards`",
            )
        index = Index(
            dataset=_text(content["dataset"]),
            faces=_number(content["faces"]),
            shards=tuple(_file(each) for each in content["shards"]),
            table=_file(content["table"]),
            arrays={name: _file(each) for name, each in content["arrays"].items()},
            dropped={_text(k): _number(n) for k, n in content["dropped"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"this is no index of shards: {error}",
            where=where,
            hint="write the shards anew with `fer-lab shards`",
        ) from error
    if not index.shards or not index.arrays.keys() <= ARRAY_SHAPES.keys():
        raise DataError("the index of shards names no shard, or an unknown array", where=where)
    return index


def _file(given: Mapping[str, Any]) -> StoredFile:
    name, digest = _text(given["name"]), _text(given["sha256"])
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"{name!r} with the digest {digest!r} is no file beside it")
    return StoredFile(name, _number(given["size"]), digest)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no whole number from 0")
    return value
