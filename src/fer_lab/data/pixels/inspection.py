"""Files looked at once, by packing them or by a check of their own, and pixels made ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.pixels.decoding import REASONS
from fer_lab.data.pixels.images import FileImages, Images, JoinedImages, Rows
from fer_lab.data.pixels.masks import has_parts, with_usable_masks
from fer_lab.data.pixels.packed import PackedImages, pack
from fer_lab.data.pixels.verification import verify as verify_files
from fer_lab.data.shards.reader import ShardReader
from fer_lab.errors import DataError

Cache = Literal["none", "packed"]


@dataclass(frozen=True)
class Inspected:
    """Rows whose files were looked at.

    Attributes:
        manifest: the rows, those whose region mask cannot be used without one.
        good: which rows can be used, ``[N]``.
        unreadable: ``id``, ``path`` and ``reason`` of the others.
        unusable: how many region masks cannot be used, by reason.
        packed: images of the datasets whose files were packed on this occasion, by name; row n
            is the dataset's n-th row.
    """

    manifest: pd.DataFrame
    good: NDArray[np.bool_]
    unreadable: pd.DataFrame
    unusable: dict[str, int]
    packed: dict[str, PackedImages]


def inspect(
    manifest: pd.DataFrame,
    kept: Rows,
    cache_dir: Path,
    *,
    verify: bool,
    size: int | None = None,
    cache: Cache = "none",
) -> Inspected:
    """Look at every image file and region mask that was not looked at as it is now.

    Packing decodes files anyway: what it finds in them is not looked for a second time.

    Args:
        manifest: the rows.
        kept: rows that are used if their files can be; datasets without one are not packed.
        cache_dir: folder of the caches.
        verify: whether image files are looked at that are not packed.
        size: height and width of packed images in pixels; None packs nothing.
        cache: ``packed`` packs every file; ``none`` those with region masks in parts, a file for
            each region, which are too many to read again in every epoch.
    """
    packed: dict[str, PackedImages] = {}
    findings = np.full((len(manifest), 4), -1, dtype=np.int32)
    datasets = manifest["dataset"].astype("str").to_numpy()
    used = manifest.iloc[kept][rows_of_files(manifest)[kept]]["dataset"].astype("str").unique()
    for name in used if size is not None else ():
        mine = np.flatnonzero(datasets == name)
        rows = manifest.iloc[mine]
        if size is not None and (cache == "packed" or has_parts(rows)):
            packed[name] = pack(rows, size, cache_dir)
            found = packed[name].findings
            assert found is not None
            findings[mine] = found
    whole, unusable = with_usable_masks(manifest, cache_dir, known=findings[:, 3])
    good = np.ones(len(manifest), dtype=bool)
    unreadable = manifest.loc[~good, ["id", "path"]].assign(reason="")
    if verify:
        good, unreadable = verify_files(manifest, cache_dir, known=findings[:, :3])
    return Inspected(whole, good, unreadable, unusable, packed)


def images_of(
    inspected: Inspected, kept: Rows, size: int, cache_dir: Path
) -> tuple[JoinedImages, bool]:
    """The pixels of the rows kept, and whether all of them are in memory maps.

    All rows of a dataset are packed, so that every choice of them shares a cache.

    Raises:
        DataError: for a kept row whose file could not be packed.
    """
    manifest, packed = inspected.manifest, inspected.packed
    part = np.zeros(len(manifest), dtype=np.int64)
    row = np.zeros(len(manifest), dtype=np.int64)
    parts: list[Images] = []
    in_memory = True
    for name in manifest["dataset"].iloc[kept].unique():
        mine = np.flatnonzero((manifest["dataset"] == name).to_numpy())
        part[mine], row[mine] = len(parts), np.arange(len(mine))
        rows = manifest.iloc[mine]
        if name in packed:
            _refuse_unusable(packed[name], rows, np.isin(mine, kept))
            parts.append(packed[name])
        elif isinstance(reader := assets(manifest).readers.get(name), ShardReader):
            parts.append(reader.images(rows, size))
            in_memory = False
        elif reader is not None:
            parts.append(pack(rows, size, cache_dir))
        else:
            parts.append(FileImages(rows, size))
            in_memory = False
    return JoinedImages(parts, part[kept], row[kept]), in_memory


def _refuse_unusable(packed: PackedImages, rows: pd.DataFrame, kept: NDArray[np.bool_]) -> None:
    """Rows that are kept have pixels.

    Raises:
        DataError: for a file that could not be packed and was not set aside.
    """
    assert packed.findings is not None
    wrong = np.flatnonzero(kept & (packed.findings[:, 2] > 0))
    if len(wrong):
        raise DataError(
            f"an image cannot be packed: {REASONS[packed.findings[wrong[0], 2]]}"
            + (f" ({len(wrong)} such images)" if len(wrong) > 1 else ""),
            where=str(rows["path"].iloc[wrong[0]]),
            hint="with verify=true such files are set aside",
        )
