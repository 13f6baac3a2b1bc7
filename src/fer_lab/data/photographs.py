"""Photographs as people have them: found, cropped to given boxes, read in batches, none lost."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.assets import Assets, assets
from fer_lab.data.pixels.decoding import FORMATS, attempt
from fer_lab.data.pixels.images import FileImages
from fer_lab.data.pixels.verification import OUTSIDE
from fer_lab.data.sources.folders import IMAGE_SUFFIXES
from fer_lab.data.sources.layout import numbers
from fer_lab.data.sources.lists import read_list
from fer_lab.data.sources.named_images import files_below
from fer_lab.errors import DataError

SUFFIXES: Final = (*IMAGE_SUFFIXES, ".jpe", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm")
BOX: Final = ("left", "top", "right", "bottom")

CLOSED: Final = "folder that cannot be listed"
NO_TEXT: Final = "file name that is no Unicode text"
NO_BOX: Final = "no box"
NO_AREA: Final = "box without area"

# Batches that are decoded while the model is busy with another.
_AHEAD: Final = 2
_MOST_THREADS: Final = 8

# A face, or why there is none.
_Face = tuple[NDArray[np.uint8] | None, str]


@dataclass(frozen=True)
class Photographs:
    """Photographs to look at.

    Attributes:
        frame: ``id`` (the path below the folder that was given) and ``path`` (absolute); with
            boxes one row a box, its :data:`BOX` in pixels of the upright photograph and ``box``,
            the row of the array beside the table.
        aside: ``id``, ``path`` and ``reason`` of those that are not looked at, and of folders that
            cannot be looked into.
        others: number of files that are no images by their name, by suffix.
        unmatched: number of boxes that are of none of the photographs.
    """

    frame: pd.DataFrame
    aside: pd.DataFrame
    others: dict[str, int]
    unmatched: int = 0


class Read(NamedTuple):
    """The pixels of the next ``B`` rows.

    Attributes:
        image: uint8 ``[G, S, S, 3]``, RGB, of those that can be used.
        reason: why each of them cannot be used, ``[B]``; empty for the ``G`` others.
    """

    image: NDArray[np.uint8]
    reason: list[str]


def find_photographs(given: Sequence[str]) -> Photographs:
    """Image files, and those at any depth below folders; hidden ones are left out.

    Args:
        given: files, taken whatever their names are, and folders. Of a single one ``id`` is the
            path below its folder, of several the path as it was given.

    Returns:
        Each file once, in the order given, within a folder in the order of the paths.

    Raises:
        DataError: for something that is not there, or when there is no image in it.
    """
    found: dict[str, str] = {}
    closed: dict[str, str] = {}
    others: Counter[str] = Counter()
    for each in given:
        place = Path(each).expanduser()
        if not os.path.exists(place):  # noqa: PTH110 (Path.exists raises for some paths)
            raise DataError("there is no such file or folder", where=place.absolute())
        parent = place if place.is_dir() else place.parent

        def shut(error: OSError, root: Path = parent) -> None:
            path = os.path.abspath(error.filename)  # noqa: PTH100
            closed[path] = os.path.relpath(path, root if len(given) == 1 else Path.cwd())

        names = files_below(place, ("",), shut) if place.is_dir() else [place.name]
        for name in names:
            if place.is_dir() and not name.lower().endswith(SUFFIXES):
                others[Path(name).suffix.lower() or "without a suffix"] += 1
                continue
            path = os.path.abspath(parent / name)  # noqa: PTH100 (keeps symlinks)
            found.setdefault(path, name if len(given) == 1 else (parent / name).as_posix())
    if not found:
        counts = ", ".join(f"{suffix} {count:,}" for suffix, count in others.most_common(5))
        said = "there is no image in it" if counts or closed else "it is empty"
        said += f"; other files: {counts}" if counts else ""
        said += f"; folders that cannot be listed: {len(closed):,}" if closed else ""
        raise DataError(
            said,
            where=", ".join(str(Path(each).expanduser().absolute()) for each in given),
            hint=f"images end in {', '.join(SUFFIXES)}; formats: {', '.join(FORMATS)}",
        )
    table = pd.DataFrame(
        {
            "id": pd.Series([_text(name) for name in found.values()], dtype="str"),
            "path": pd.Series([_text(path) for path in found], dtype="str"),
        }
    )
    readable = np.array([_text(path) == path for path in found], dtype=bool)
    shut_off = pd.DataFrame(
        {"id": [_text(name) for name in closed.values()], "path": [_text(path) for path in closed]},
        dtype="str",
    )
    aside = pd.concat(
        [table[~readable].assign(reason=NO_TEXT), shut_off.assign(reason=CLOSED)],
        ignore_index=True,
    )
    return Photographs(table[readable].reset_index(drop=True), aside, dict(others.most_common()))


def with_boxes(photographs: Photographs, file: str | os.PathLike[str]) -> Photographs:
    """Only the parts of photographs that boxes are drawn around, one row a box.

    Args:
        photographs: the photographs.
        file: a ``.csv`` file with ``path`` (an ``id``, or a path from here, from the file's
            folder or from the root) and :data:`BOX` in pixels of the upright photograph, the last
            two exclusive. A row with four empty cells says that there is no face.

    Returns:
        The boxes, numbered in ``id`` (``a.jpg#2``) where a photograph has several. Photographs
        without a box and boxes without area are set aside.

    Raises:
        DataError: for a file that cannot be read, a cell that is no number, or when no box is of
            any of the photographs.
    """
    place, whole = Path(file).expanduser(), photographs.frame
    paths, sides = _read_boxes(place)
    owner = _owners(whole, paths, place.absolute().parent)
    mine, known = owner >= 0, np.isfinite(sides).all(axis=1)
    if not mine.any():
        example = whole["id"].iloc[0] if len(whole) else "a.jpg"
        raise DataError(
            f"none of the {len(paths):,} boxes is of any of the photographs",
            where=place,
            hint="`path` is a photograph's path below the folder that `image` names, such as "
            f"{example}",
        )
    area = (sides[:, 2:] > sides[:, :2]).all(axis=1)
    rows = np.flatnonzero(mine & area)
    rows = rows[np.argsort(owner[rows], kind="stable")]
    frame = whole.iloc[owner[rows]].reset_index(drop=True)
    frame[list(BOX)] = sides[rows]
    several = frame["id"].duplicated(keep=False)
    number = (frame.groupby("id").cumcount() + 1).astype("str")
    frame["id"] = frame["id"].where(~several, frame["id"] + "#" + number)
    frame["box"] = np.arange(len(frame))
    corners = sides[rows].astype(np.float32)
    corners[:, 2:] -= corners[:, :2]
    frame.attrs["assets"] = Assets(arrays={"box": corners})
    boxed = np.isin(np.arange(len(whole)), owner[known])
    aside = [
        photographs.aside,
        whole.iloc[owner[mine & known & ~area]].assign(reason=NO_AREA),
        whole.iloc[np.flatnonzero(~boxed)].assign(reason=NO_BOX),
    ]
    return replace(
        photographs,
        frame=frame,
        aside=pd.concat(aside, ignore_index=True),
        unmatched=int((~mine).sum()),
    )


def read_batches(
    frame: pd.DataFrame, size: int, batch_size: int, *, threads: int | None = None
) -> Iterator[Read]:
    """Decode photographs as training does, a few batches ahead of whoever asks.

    Args:
        frame: of :class:`Photographs`. With boxes the part inside is taken, widened as the boxes
            of datasets are; without, all of the photograph, whatever its shape.
        size: height and width of the result, in pixels.
        batch_size: rows in a batch.
        threads: how many decode at once; by default one a processor, at most 8.
    """
    Image.init()
    boxed = assets(frame).arrays.get("box")
    images = FileImages(frame, size)

    def face(row: int) -> _Face:
        image, finding = attempt(images.path(row))
        if image is None:
            return None, finding.reason
        if boxed is not None:
            left, top, across, down = boxed[row]
            inside = left < finding.width and top < finding.height
            if not (inside and left + across > 0 and top + down > 0):
                return None, OUTSIDE
        return images.face(row, image, None).image[0], ""

    def batch(waiting: list[Future[_Face]]) -> Read:
        results = [each.result() for each in waiting]
        good = [image for image, _ in results if image is not None]
        stacked = np.stack(good) if good else np.empty((0, size, size, 3), dtype=np.uint8)
        return Read(stacked, [reason for _, reason in results])

    pool = ThreadPoolExecutor(threads or min(_MOST_THREADS, os.cpu_count() or 1))
    queue: deque[list[Future[_Face]]] = deque()
    try:
        for start in range(0, len(frame), batch_size):
            stop = min(start + batch_size, len(frame))
            queue.append([pool.submit(face, row) for row in range(start, stop)])
            if len(queue) > _AHEAD:
                yield batch(queue.popleft())
        while queue:
            yield batch(queue.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _read_boxes(file: Path) -> tuple[pd.Series, NDArray[np.float64]]:
    """The paths of a list of boxes and their sides, ``[N, 4]``, NaN in a row without a box."""
    parts = list(read_list(file, ["path", *BOX], hint=f"expected: path,{','.join(BOX)}"))
    cells = pd.concat(parts) if parts else pd.DataFrame(columns=["path", *BOX], dtype="str")
    sides = np.empty((len(cells), 4), dtype=np.float64)
    for n, name in enumerate(BOX):
        sides[:, n], wrong = numbers(cells[name])
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{cells[name].iloc[first]!r} is no number of pixels ({wrong.sum():,} such cells)",
                where=f"{file}, column {name}, line {cells.index[first]}",
            )
    given = np.isfinite(sides).sum(axis=1)
    partly = np.flatnonzero((given > 0) & (given < 4))
    if len(partly):
        raise DataError(
            f"a box has four sides; {len(partly):,} lines have fewer",
            where=f"{file}, line {cells.index[partly[0]]}",
        )
    return cells["path"].str.strip(), sides


def _owners(frame: pd.DataFrame, paths: pd.Series, folder: Path) -> NDArray[np.int64]:
    """The row of the photograph that each path of a list means, -1 where there is none."""
    by_id = pd.Index(frame["id"].to_numpy(dtype=object))
    by_path = pd.Index(frame["path"].to_numpy(dtype=object))
    plain = [path.replace("\\", "/").removeprefix("./") for path in paths]
    owner = by_id.get_indexer(pd.Index(plain, dtype=object))
    for base in (Path.cwd(), folder):
        absolute = [os.path.abspath(base / path) for path in paths]  # noqa: PTH100
        found = by_path.get_indexer(pd.Index(absolute, dtype=object))
        owner = np.where(owner < 0, found, owner)
    return np.asarray(owner, dtype=np.int64)


def _text(name: str) -> str:
    """A file's name as text that can be written, its other bytes escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
