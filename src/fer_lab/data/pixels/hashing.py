"""The hashes of image files: of their bytes, and of what the face in them looks like."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.pixels.decoding import FORMATS, upper_bits, upright
from fer_lab.data.pixels.duplicates import SIDE, perceptual_hash
from fer_lab.data.pixels.file_memory import look_up
from fer_lab.data.pixels.images import face_crop
from fer_lab.data.pixels.look_alikes import Hashes
from fer_lab.data.progress import track

_MEMORY = "hashed-images-2.parquet"


class _Look(NamedTuple):
    """The hash of a file's bytes and, as 32 hexadecimal digits, of its look (or nothing)."""

    content: str
    look: str


def hash_faces(
    manifest: pd.DataFrame, cache_dir: str | os.PathLike[str], *, threads: int | None = None
) -> tuple[pd.Series, Hashes, NDArray[np.bool_]]:
    """Hash every row's face.

    A face is a file and the box in it: two faces of one photograph are not the same. What was
    hashed of files is remembered in ``cache_dir``; rows that are not files are read anew.

    Args:
        manifest: rows that can be read.
        cache_dir: folder of the memory.
        threads: how many files are read at once.

    Returns:
        Text that is equal for faces of the same bytes (of the same pixels, where they are not
        files) and box ``[N]``, the perceptual hashes uint64 ``[N, 2]``, and which rows have
        these ``[N]``.
    """
    of_files = rows_of_files(manifest)
    table = pd.DataFrame({"content": "", "look": ""}, index=manifest.index, dtype="str")
    files = pd.DataFrame(
        {"path": manifest["path"].astype("str"), "box": pd.Series(_boxes(manifest), manifest.index)}
    )[of_files].astype("str")
    found = _hash_files(files.drop_duplicates(ignore_index=True), Path(cache_dir), threads)
    faces = files.merge(found, on=["path", "box"], how="left").fillna("")
    table.loc[of_files, "look"] = faces["look"].to_numpy()
    # A file that went away since it was verified is like no other.
    known = (faces["content"] != "").to_numpy()
    contents = (faces["content"] + " " + faces["box"]).where(known, faces["path"])
    table.loc[of_files, "content"] = contents.to_numpy()
    others = list(_hash_others(manifest[~of_files]))
    table.loc[~of_files, "content"] = [each.content for each in others]
    table.loc[~of_files, "look"] = [each.look for each in others]
    hashed = (table["look"] != "").to_numpy()
    digits = "".join(table["look"].where(hashed, "0" * 32))
    hashes = np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return table["content"], hashes, hashed


def _hash_files(items: pd.DataFrame, cache_dir: Path, threads: int | None) -> pd.DataFrame:
    Image.init()
    return look_up(
        items,
        _hash_file,
        {"content": "str", "look": "str"},
        memory=cache_dir / _MEMORY,
        description="hashing images",
        threads=threads,
        certain=lambda learnt: learnt["content"] != "",
    )


def _hash_others(rows: pd.DataFrame) -> Iterator[_Look]:
    """Hashes of the rows that a reader makes the pixels of."""
    readers = assets(rows).readers
    items = zip(rows["dataset"].astype("str"), rows["path"].astype("str"), strict=True)
    for dataset, path in track(items, total=len(rows), description="hashing faces"):
        image = Image.fromarray(readers[dataset].read(path, SIDE).image)
        pixels = np.asarray(image.convert("L"), dtype=np.uint8)
        yield _Look(_digest(image.tobytes()), _digits(perceptual_hash(pixels)))


def _boxes(manifest: pd.DataFrame) -> list[str]:
    """The box of every row as text, empty where there is none."""
    texts = [""] * len(manifest)
    boxes = assets(manifest).arrays.get("box")
    if boxes is None or "box" not in manifest:
        return texts
    rows = manifest["box"].to_numpy(dtype=np.int64)
    places = np.flatnonzero(rows >= 0)
    for place, box in zip(places.tolist(), boxes[rows[places]].tolist(), strict=True):
        texts[place] = ",".join(f"{value:g}" for value in box)
    return texts


def _hash_file(path: str, box: str) -> _Look:
    """Hash one face; nothing where the file cannot be read any more."""
    try:
        content = Path(path).read_bytes()
        look = perceptual_hash(_grey(content, box))
    except Exception:  # decoders of damaged files raise whatever the damage leads them into
        return _Look("", "")
    return _Look(_digest(content), _digits(look))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _digits(look: tuple[int, int] | None) -> str:
    return "" if look is None else f"{look[0]:016x}{look[1]:016x}"


def _grey(content: bytes, box: str) -> NDArray[np.uint8]:
    """The face as a small grey picture, decoded no larger than that needs."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        full = max(image.size)
        sides = [float(value) for value in box.split(",")] if box else [0, 0, *image.size]
        wanted = max(1.0, min(sides[2:]) / SIDE)
        image.draft("L", (int(image.width / wanted), int(image.height / wanted)))
        image.load()
        turned = upright(image)
        if turned.mode.startswith("I;16"):
            turned = Image.fromarray(upper_bits(turned))
        scale = max(turned.size) / full
        crop: tuple[float, float, float, float] = (0, 0, *turned.size)
        if box:
            width, height = (round(side / scale) for side in turned.size)
            edges = face_crop(np.array(sides, dtype=np.float32), width, height)
            left, top, right, bottom = (edge * scale for edge in edges)
            crop = left, top, min(right, turned.width), min(bottom, turned.height)
        grey = turned.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=crop)
        return np.asarray(grey, dtype=np.uint8)
