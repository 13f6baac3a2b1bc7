"""A folder of supplied heatmaps in face space: human ratings, eye tracking, another model's."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from fer_lab.data.pixels.decoding import decode
from fer_lab.errors import DataError, near_miss
from fer_lab.explain.normal_form import SIZE

Floats = NDArray[np.float32]
Cell = tuple[str | None, str]

SUFFIXES: Final = (".png", ".npy", ".npz", ".csv")


class Supplied(NamedTuple):
    """Maps that were found in a folder.

    Attributes:
        maps: by group (None: of all) and expression, ``[height, width]``, NaN where unknown.
        files: where each map is from.
        left_out: files that are no map of a cell, with the reason.
    """

    maps: dict[Cell, Floats]
    files: dict[Cell, str]
    left_out: dict[str, str]


def read_supplied(
    folder: Path, cells: Sequence[tuple[str, ...]], size: tuple[int, int] = SIZE
) -> Supplied:
    """Read the maps of a folder, each named after its expression or its group and expression.

    ``happy.png``, ``female_happy.npy``, ``middle-eastern-sad.csv``. A grey image, an array, or
    rows of numbers (an empty field is unknown); an ``.npz`` holds one map, or several under their
    names. Maps of another size and the same aspect are resized.

    Args:
        folder: the folder.
        cells: group and expression of the heatmaps that they are compared with.
        size: width and height of face space.

    Raises:
        DataError: if there is no such folder, a map cannot be read or has another aspect than
            face space, or two are of the same cell.
    """
    if not folder.is_dir():
        raise DataError(
            "there is no such folder of heatmaps", where=folder.absolute(), hint=names_hint(cells)
        )
    known = _cells_by_name(cells)
    found = Supplied({}, {}, {})
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix.lower() not in SUFFIXES:
            found.left_out[path.name] = f"not one of {', '.join(SUFFIXES)}"
            continue
        for source, name, values in _maps_in(path):
            cell = known.get(_plain(name))
            if cell is None:
                near = near_miss(_plain(name), known)
                found.left_out[source] = (
                    "no expression, and no group and expression, of the run"
                    + (f"; did you mean {near!r}?" if near else "")
                )
                continue
            if cell in found.maps:
                raise DataError(
                    f"two heatmaps are of one cell: {found.files[cell]} and {source}",
                    where=folder,
                    hint="leave one of them",
                )
            found.maps[cell] = _in_size(values, size, path)
            found.files[cell] = source
    return found


def names_hint(cells: Sequence[tuple[str, ...]]) -> str:
    """How the files of these cells are named, as advice."""
    names = ", ".join(dict.fromkeys(expression for _, expression in cells))
    groups = ", ".join(dict.fromkeys(group for group, _ in cells))
    return (
        f"name each file <expression>.png or <group>_<expression>.png (or {', '.join(SUFFIXES[1:])}"
        f"); expressions: {names}; groups: {groups}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def _cells_by_name(cells: Sequence[tuple[str, ...]]) -> dict[str, Cell]:
    named: dict[str, Cell] = {_plain(expression): (None, expression) for _, expression in cells}
    return named | {
        _plain(f"{group}_{expression}"): (group, expression) for group, expression in cells
    }


def _maps_in(path: Path) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """What each map of a file is called in messages, its own name, and its values."""
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                for name in arrays.files:
                    alone = len(arrays.files) == 1
                    source = path.name if alone else f"{path.name}/{name}"
                    yield source, path.stem if alone else name, arrays[name]
            return
        yield path.name, path.stem, _read(path)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"a heatmap cannot be read: {error}",
            where=path,
            hint="a grey .png, an array as .npy or .npz, or a .csv of numbers without a header",
        ) from error


def _read(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    if suffix == ".csv":
        table: NDArray[Any] = pd.read_csv(path, header=None, dtype=np.float64).to_numpy()
        return table
    pixels = decode(str(path))
    if (pixels != pixels[..., :1]).any():
        raise DataError(
            "a heatmap is in colours, which have no order",
            where=path,
            hint="save the values themselves: a grey .png, .npy or .csv",
        )
    return pixels[..., 0]


def _in_size(values: NDArray[Any], size: tuple[int, int], path: Path) -> Floats:
    """A map at the size of face space; unknown pixels take no part in the resizing."""
    width, height = size
    numeric = values.dtype.kind in "fiub"
    if values.ndim != 2 or not values.size or not numeric:
        raise DataError(
            f"a heatmap has rows and columns of numbers, not {list(values.shape)} {values.dtype}",
            where=path,
        )
    if abs(values.shape[0] - values.shape[1] * height / width) > 1:
        raise DataError(
            f"a heatmap of {values.shape[1]} × {values.shape[0]} (width × height) is not in face "
            f"space, which is {width} × {height} or the same aspect",
            where=path,
            hint="a map over a photograph is brought there by its 68 landmarks: "
            "fer_lab.explain.face_space.normalize(map[None], landmarks[None]); average its results",
        )
    plain = torch.from_numpy(values.astype(np.float32))
    if plain.shape == (height, width):
        return plain.masked_fill(~plain.isfinite(), torch.nan).numpy()
    known = plain.isfinite()
    both = torch.stack([plain.masked_fill(~known, 0), known.float()])[None]
    total, share = F.interpolate(both, size=(height, width), mode="bilinear", antialias=True)[0]
    return torch.where(share >= 0.5, total / share, torch.nan).numpy()
