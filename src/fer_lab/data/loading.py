"""From the names of datasets to the rows of a run and their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.images import FileImages, Images, JoinedImages, Rows
from fer_lab.data.manifest import fingerprint
from fer_lab.data.manifest_cache import remembered
from fer_lab.data.masks import with_usable_masks
from fer_lab.data.merging import Harmonise, harmonised
from fer_lab.data.packed import PackedImages, pack
from fer_lab.data.partition import partition
from fer_lab.data.selection import Selection, select
from fer_lab.data.sources import SOURCES, read
from fer_lab.data.sources.external import annotate
from fer_lab.data.split_options import Split
from fer_lab.data.target import EXPRESSION, set_target
from fer_lab.data.verification import REASONS
from fer_lab.data.verification import verify as verify_files
from fer_lab.errors import DataError

Cache = Literal["none", "packed"]


@dataclass(frozen=True)
class Chosen:
    """The rows of datasets, and which of them a run uses.

    Attributes:
        manifest: every row, with its split.
        selection: the rows chosen.
        unreadable: ``id``, ``path`` and ``reason`` of files that cannot be read.
        dropped: rows set aside, by reason.
        classes: names of the labels, in their order.
    """

    manifest: pd.DataFrame
    selection: Selection
    unreadable: pd.DataFrame
    dropped: dict[str, int]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Loaded:
    """Datasets, read.

    Attributes:
        selection: the rows chosen.
        images: their pixels, by row of ``selection.manifest``.
        in_memory: whether all pixels are in memory maps, none in files to decode.
        unreadable: ``id``, ``path`` and ``reason`` of files that cannot be read.
        dropped: rows set aside, by reason.
        classes: names of the labels, in their order.
        fingerprint: hash of ``selection.manifest``.
    """

    selection: Selection
    images: Images
    in_memory: bool
    unreadable: pd.DataFrame
    dropped: dict[str, int]
    classes: tuple[str, ...]
    fingerprint: str


def choose_rows(
    sources: Mapping[str, Mapping[str, Any]],
    *,
    classes: int | Sequence[str],
    attributes: Sequence[str],
    split: Split,
    test_split: Split,
    cache_dir: Path,
    verify: bool,
    harmonise: Harmonise | None = None,
    annotations: Sequence[Mapping[str, Any]] = (),
    target: str = EXPRESSION,
) -> Chosen:
    """Read datasets, set unreadable files aside, choose rows; no pixels are drawn or packed.

    Args:
        sources: options of each dataset by name.
        classes: 6, 7, 8 or names, see :func:`~fer_lab.data.target.set_target`.
        attributes: what is audited.
        split: whom the model learns from.
        test_split: whom it is tested on.
        cache_dir: folder of the caches.
        verify: whether image files are looked at.
        harmonise: tables that bring the datasets' attributes to common groups.
        annotations: files of others, see :func:`~fer_lab.data.sources.external.annotate`.
        target: what is told apart: ``expression``, ``dataset`` or an attribute.

    Raises:
        ConfigError: for options that the datasets do not know.
        DataError: for data that are not as promised, or a split left empty.
    """
    manifest, notes = harmonised(
        [remembered(name, options, cache_dir, read) for name, options in sources.items()],
        harmonise,
        datasets=tuple(SOURCES),
    )
    manifest, unusable = with_usable_masks(annotate(manifest, annotations).manifest, cache_dir)
    manifest, chosen = set_target(manifest, target, classes)
    divided = partition(manifest, split)
    manifest = divided.manifest
    choose = partial(
        select,
        manifest,
        classes=chosen,
        attributes=attributes,
        split=split,
        test_split=test_split,
        target=target,
    )
    # Mistakes in the options show before every file is looked at.
    selection = choose(divided.used)
    unreadable = pd.DataFrame({"id": [], "path": [], "reason": []}, dtype="str")
    if verify and rows_of_files(manifest).any():
        good, unreadable = verify_files(manifest, cache_dir)
        if len(unreadable):
            selection = choose(good & divided.used)
    dropped = Counter(assets(manifest).dropped)
    dropped.update(unusable)
    dropped.update(unreadable["reason"].tolist())
    dropped.update(selection.dropped)
    dropped.update(divided.dropped)
    selection = replace(
        selection,
        warnings=divided.warnings + selection.warnings,
        notes=notes + divided.notes + selection.notes,
    )
    return Chosen(manifest, selection, unreadable, dict(dropped), chosen)


def load(
    sources: Mapping[str, Mapping[str, Any]],
    *,
    image_size: int,
    cache_dir: Path,
    cache: Cache = "none",
    **options: Any,
) -> Loaded:
    """Choose rows and make their pixels ready: drawn faces are packed, files on demand.

    What is slow is remembered in ``cache_dir``: a second call, in any process, opens it.

    Args:
        sources: options of each dataset by name.
        image_size: height and width in pixels.
        cache_dir: folder of the caches.
        cache: ``packed`` puts image files, too, into memory maps at the training size.
        **options: of :func:`choose_rows`.

    Raises:
        ConfigError: for options that the datasets do not know.
        DataError: for data that are not as promised, or a split left empty.
    """
    rows = choose_rows(sources, cache_dir=cache_dir, **options)
    images, in_memory = _images(rows.manifest, rows.selection.kept, image_size, cache_dir, cache)
    return Loaded(
        selection=rows.selection,
        images=images,
        in_memory=in_memory,
        unreadable=rows.unreadable,
        dropped=rows.dropped,
        classes=rows.classes,
        fingerprint=fingerprint(rows.selection.manifest),
    )


def _images(
    manifest: pd.DataFrame, kept: Rows, size: int, cache_dir: Path, cache: Cache
) -> tuple[JoinedImages, bool]:
    """The pixels of the rows kept, and whether all of them are in memory maps.

    A dataset's rows are packed before any is left out, so that every split shares a cache; of
    a reader of files only those kept, since others may be damaged.
    """
    of_files = rows_of_files(manifest)
    readers = assets(manifest).readers
    part = np.zeros(len(manifest), dtype=np.int64)
    row = np.zeros(len(manifest), dtype=np.int64)
    parts: list[Images] = []
    in_memory = True
    for name in manifest["dataset"].unique():
        mine = np.flatnonzero((manifest["dataset"] == name).to_numpy())
        if name in readers and of_files[mine].all():
            mine = np.intersect1d(mine, kept)
            if len(mine) == 0:
                continue
        part[mine], row[mine] = len(parts), np.arange(len(mine))
        rows = manifest.iloc[mine]
        if name in readers or cache == "packed":
            packed = pack(rows, size, cache_dir)
            _refuse_unusable(packed, rows, np.isin(mine, kept))
            parts.append(packed)
        else:
            parts.append(FileImages(rows, size))
            in_memory = False
    return JoinedImages(parts, part[kept], row[kept]), in_memory


def _refuse_unusable(packed: PackedImages, rows: pd.DataFrame, kept: NDArray[np.bool_]) -> None:
    """Rows that are kept have pixels.

    Raises:
        DataError: for a file that could not be packed and was not set aside.
    """
    if packed.findings is None:
        return
    wrong = np.flatnonzero(kept & (packed.findings[:, 2] > 0))
    if len(wrong):
        raise DataError(
            f"an image cannot be packed: {REASONS[packed.findings[wrong[0], 2]]}"
            + (f" ({len(wrong)} such images)" if len(wrong) > 1 else ""),
            where=str(rows["path"].iloc[wrong[0]]),
            hint="with verify=true such files are set aside; if it changed just now, start anew",
        )
