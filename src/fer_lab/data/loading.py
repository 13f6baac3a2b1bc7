"""From the names of datasets to the rows of a run and their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.assets import assets
from fer_lab.data.images import FileImages, Images, JoinedImages, Rows
from fer_lab.data.manifest import fingerprint, merge
from fer_lab.data.packed import pack
from fer_lab.data.selection import Selection, Split, select
from fer_lab.data.sources import read
from fer_lab.data.splits import assign_validation
from fer_lab.data.verification import verify as verify_files


@dataclass(frozen=True)
class Loaded:
    """Datasets, read.

    Attributes:
        selection: the rows chosen.
        images: their pixels, by row of ``selection.manifest``.
        in_memory: whether all pixels are in memory maps, none in files to decode.
        unreadable: ``id``, ``path`` and ``reason`` of files that cannot be read.
        dropped: rows set aside, by reason.
        fingerprint: hash of ``selection.manifest``.
    """

    selection: Selection
    images: Images
    in_memory: bool
    unreadable: pd.DataFrame
    dropped: dict[str, int]
    fingerprint: str


def load(
    sources: Mapping[str, Mapping[str, Any]],
    *,
    classes: Sequence[str],
    attributes: Sequence[str],
    split: Split,
    test_split: Split,
    image_size: int,
    cache_dir: Path,
    verify: bool,
) -> Loaded:
    """Read datasets, set unreadable files aside, pack drawn faces, choose rows.

    What is slow is remembered in ``cache_dir``: a second call, in any process, opens it.

    Args:
        sources: options of each dataset by name.
        classes: the expressions to tell apart.
        attributes: what is audited.
        split: whom the model learns from.
        test_split: whom it is tested on.
        image_size: height and width in pixels.
        cache_dir: folder of the caches.
        verify: whether image files are looked at.

    Raises:
        ConfigError: for options that the datasets do not know.
        DataError: for data that are not as promised, or a split left empty.
    """
    manifest = merge([read(name, **options) for name, options in sources.items()])
    manifest = assign_validation(manifest, split.val_fraction, split.seed)
    choose = partial(
        select,
        manifest,
        classes=classes,
        attributes=attributes,
        split=split,
        test_split=test_split,
    )
    # Mistakes in the options show before every file is looked at.
    selection = choose(np.ones(len(manifest), dtype=bool))
    unreadable = pd.DataFrame({"id": [], "path": [], "reason": []}, dtype="str")
    drawn = manifest["dataset"].isin(list(assets(manifest).readers))
    if verify and not drawn.all():
        good, unreadable = verify_files(manifest, cache_dir)
        if len(unreadable):
            selection = choose(good)
    images, in_memory = _images(manifest, selection.kept, image_size, cache_dir)
    dropped = Counter(assets(manifest).dropped)
    dropped.update(unreadable["reason"].tolist())
    dropped.update(selection.dropped)
    return Loaded(
        selection, images, in_memory, unreadable, dict(dropped), fingerprint(selection.manifest)
    )


def _images(
    manifest: pd.DataFrame, kept: Rows, size: int, cache_dir: Path
) -> tuple[JoinedImages, bool]:
    """The pixels of the rows kept, and whether all of them are in memory maps.

    A dataset's rows are packed before any is left out, so that every split shares a cache.
    """
    readers = assets(manifest).readers
    part = np.zeros(len(manifest), dtype=np.int64)
    row = np.zeros(len(manifest), dtype=np.int64)
    parts: list[Images] = []
    in_memory = True
    for name in manifest["dataset"].unique():
        mine = np.flatnonzero((manifest["dataset"] == name).to_numpy())
        part[mine], row[mine] = len(parts), np.arange(len(mine))
        rows = manifest.iloc[mine]
        if name in readers:
            parts.append(pack(rows, size, cache_dir))
        else:
            parts.append(FileImages(rows, size))
            in_memory = False
    return JoinedImages(parts, part[kept], row[kept]), in_memory
