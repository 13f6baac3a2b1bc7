"""From the names of datasets to the rows of a run and their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lab.data.annotating import annotate_each
from fer_lab.data.assets import assets
from fer_lab.data.manifest import fingerprint, renamed
from fer_lab.data.manifest_cache import remembered
from fer_lab.data.merging import Harmonise, harmonised
from fer_lab.data.pixels.images import Images
from fer_lab.data.pixels.inspection import Cache, Inspected, images_of, inspect
from fer_lab.data.sources import SOURCES, read
from fer_lab.data.splitting.partition import partition
from fer_lab.data.splitting.selection import Selection, select
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.target import EXPRESSION, set_target
from fer_lab.errors import ConfigError
from fer_lab.places import refuse_unusable_cache


@dataclass(frozen=True)
class Chosen:
    """The rows of datasets, and which of them a run uses.

    Attributes:
        inspected: every row, with its split, and what was found in its files.
        selection: the rows chosen.
        dropped: rows set aside, by reason.
        classes: names of the labels, in their order.
    """

    inspected: Inspected
    selection: Selection
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
    image_size: int | None = None,
    cache: Cache = "none",
    harmonise: Harmonise | None = None,
    annotations: Sequence[Mapping[str, Any]] = (),
    target: str = EXPRESSION,
) -> Chosen:
    """Read datasets, set unreadable files aside, choose rows; no pixels are drawn.

    Args:
        sources: options of each dataset by name; ``source`` is the reader of a dataset of another
            name, so that one reader can give several.
        classes: 6, 7, 8 or names, see :func:`~fer_lab.data.splitting.target.set_target`.
        attributes: what is audited.
        split: whom the model learns from.
        test_split: whom it is tested on.
        cache_dir: folder of the caches.
        verify: whether image files are looked at.
        image_size: as which files are packed on this occasion, in pixels; None packs none.
        cache: as for :func:`load`.
        harmonise: tables that bring the datasets' attributes to common groups.
        annotations: files of others, see :func:`~fer_lab.data.sources.external.annotate`.
        target: what is told apart: ``expression``, ``dataset`` or an attribute.

    Raises:
        ConfigError: for options that the datasets do not know.
        DataError: for data that are not as promised, or a split left empty.
    """
    parts = annotate_each(read_manifests(sources, cache_dir), annotations)
    manifest, notes = harmonised(parts, harmonise, datasets=tuple(SOURCES))
    manifest, chosen = set_target(manifest, target, classes)
    in_classes = manifest["label"].isin(chosen).to_numpy()
    divided = partition(manifest, split, in_classes)
    choose = partial(
        select,
        classes=chosen,
        attributes=attributes,
        split=split,
        test_split=test_split,
        target=target,
    )
    # Mistakes in the options show before every file is looked at.
    selection = choose(divided.manifest, divided.used)
    inspected = inspect(
        divided.manifest, selection.kept, cache_dir, verify=verify, size=image_size, cache=cache
    )
    if not inspected.good.all():
        # The draws are as before, but for a set that would have nothing that can be read.
        divided = partition(manifest, split, in_classes & inspected.good)
        whole = inspected.manifest.assign(split=divided.manifest["split"])
        inspected = replace(inspected, manifest=whole)
    if inspected.manifest is not divided.manifest:
        selection = choose(inspected.manifest, inspected.good & divided.used)
    dropped = Counter(assets(manifest).dropped)
    dropped.update(inspected.unusable)
    unreadable = inspected.unreadable["id"].isin(manifest["id"][divided.used])
    dropped.update(inspected.unreadable["reason"][unreadable].tolist())
    dropped.update(selection.dropped)
    dropped.update(divided.dropped)
    selection = replace(
        selection,
        warnings=divided.warnings + selection.warnings,
        notes=notes + divided.notes + selection.notes,
    )
    return Chosen(inspected, selection, dict(dropped), chosen)


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
    rows = choose_rows(sources, cache_dir=cache_dir, image_size=image_size, cache=cache, **options)
    images, in_memory = images_of(rows.inspected, rows.selection.kept, image_size, cache_dir)
    return Loaded(
        selection=rows.selection,
        images=images,
        in_memory=in_memory,
        unreadable=rows.inspected.unreadable,
        dropped=rows.dropped,
        classes=rows.classes,
        fingerprint=fingerprint(rows.selection.manifest),
    )


def read_manifests(sources: Mapping[str, Mapping[str, Any]], cache_dir: Path) -> list[pd.DataFrame]:
    """A manifest for each dataset, under its own name.

    Raises:
        ConfigError: when two datasets are the same one under two names, or there is no cache.
    """
    refuse_unusable_cache(cache_dir)
    parts: list[pd.DataFrame] = []
    seen: list[tuple[str, str, dict[str, Any]]] = []
    for name, given in sources.items():
        options = {key: value for key, value in given.items() if key != "source"}
        reader = str(given.get("source") or name)
        for other, same_reader, same_options in seen:
            if (reader, options) == (same_reader, same_options):
                raise ConfigError(
                    f"{other} and {name} are the same rows of {reader} under two names",
                    where="dataset.sources",
                    hint=f"give dataset.sources.{name} another root, seed or other option",
                )
        seen.append((name, reader, options))
        manifest = remembered(reader, options, cache_dir, read)
        parts.append(renamed(manifest, name) if given.get("source") else manifest)
    return parts
