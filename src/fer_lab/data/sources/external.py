"""Annotations in files beside a dataset, joined onto its manifest by id, path or base name.

Demographics inferred by a model, intensity ratings of annotators, region masks.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer_lab.data.manifest import Assets, assets, validate
from fer_lab.data.pixels.masks import COLUMN as MASK_PATH
from fer_lab.data.sources.external_rows import (
    Annotated,
    Files,
    annotation_rows,
    face_positions,
    refuse_several,
    unmatched_rows,
)
from fer_lab.data.sources.inferred import demographics
from fer_lab.data.sources.layout import normal_paths, say_closed
from fer_lab.data.sources.own import (
    SET_ASIDE,
    translated,
)
from fer_lab.data.vocabulary import INTENSITY_RANKS, UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.files import atomic_path

_log = logging.getLogger(__name__)


def annotate(manifest: pd.DataFrame, annotations: Sequence[Mapping[str, Any]]) -> Annotated:
    """Join annotations, one after the other.

    What did not match is counted in ``dropped`` of the manifest's assets, and listed in their
    ``unmatched``.

    Args:
        manifest: of one or several datasets.
        annotations: each with its ``kind`` (``demographics``, ``intensity`` or ``masks``), the
            options of the function of that name, and ``unmatched``, a CSV file to write what did
            not match to.

    Raises:
        ConfigError: for another kind or option.
        DataError: for files that are not as promised, or a match that is not one to one.
    """
    unmatched: list[pd.DataFrame] = []
    counts: dict[str, int] = {}
    for number, each in enumerate(annotations):
        place = f"data.annotations[{number}]"
        options = dict(each)
        kind, target = str(options.pop("kind", None)), options.pop("unmatched", None)
        found = _kind(kind, options, place)(manifest, option=place, **options)
        manifest = found.manifest
        unmatched.append(found.unmatched)
        for reason, count in found.counts.items():
            counts[reason] = counts.get(reason, 0) + count
            _log.info("%s: %s", reason, count)
        if len(found.unmatched):
            _log.warning("%s of %s: %s speak of no face", kind, place, len(found.unmatched))
        if target is not None:
            with atomic_path(Path(target).expanduser()) as temporary:
                found.unmatched.to_csv(temporary, index=False)
    listed = pd.concat([Assets().unmatched, *unmatched], ignore_index=True)
    if annotations:
        beside = assets(manifest)
        manifest = validate(manifest)
        dropped = dict(beside.dropped)
        for name, count in listed["kind"].value_counts().items():
            dropped[f"{name} of no listed image"] = int(count)
        manifest.attrs["assets"] = Assets(
            beside.arrays,
            beside.readers,
            dropped,
            beside.roots,
            pd.concat([beside.unmatched, listed], ignore_index=True),
        )
    return Annotated(manifest, listed, counts)


def intensity(
    manifest: pd.DataFrame,
    *,
    file: Files,
    columns: Mapping[str, str | None] | None = None,
    ranks: Mapping[str, str | None] | None = None,
    ties: Literal["lower", "unknown"] = "lower",
    option: str = "annotations",
) -> Annotated:
    """Join ratings of how strong an expression is, by the majority of the annotators.

    Of ranks with equally many votes the lower is taken, as the published ranking does; how many
    faces that concerns is in ``counts``. Faces that nobody rated are ``unknown``.

    Args:
        manifest: the faces.
        file: CSV files, one row a face and annotator.
        columns: names of ``path`` (``image``), ``annotator`` and ``rank`` where they differ.
        ranks: ``minimal``, ``average`` or ``strong`` by the files' word; null leaves votes out.
        ties: ``lower``, or ``unknown`` to leave them undecided.
        option: where the user set this, for messages.

    Returns:
        The manifest with the groups ``intensity_rank``.

    Source: ground truth of the intensity study (LRP ranking), a majority of annotators.
    """
    if ties not in ("lower", "unknown"):
        raise ConfigError(f"ties={ties}", where=option, hint="use lower or unknown")
    usual = {"path": "image", "annotator": "annotator", "rank": "rank"}
    table = annotation_rows(file, usual, columns, list(usual), option)
    rank = translated(
        table["rank"],
        {name: name for name in INTENSITY_RANKS},
        ranks,
        name="a rank",
        place="",
        option=f"{option}.ranks",
    )
    table = table[(rank != SET_ASIDE).to_numpy()]
    rank = rank[table.index]
    position = face_positions(manifest, table, option)
    found = position >= 0
    people = pd.factorize(table["annotator"].str.strip())[0]
    ballot = pd.DataFrame({"face": position, "person": people}, table.index)[found]
    again = ballot.duplicated(keep=False)
    if again.any():
        first = ballot[again].iloc[0]
        rows = ballot.index[(ballot == first).all(axis=1).to_numpy()]
        raise DataError(
            f"{table['annotator'][rows[0]]} rated {manifest['id'].iloc[first['face']]}"
            f" {len(rows)} times",
            where=f"{'; '.join(table['place'][rows[:3]])} ({option})",
            hint="one row a face and annotator",
        )
    votes = np.zeros((len(manifest), len(INTENSITY_RANKS)), dtype=np.int64)
    chosen = pd.Index(INTENSITY_RANKS).get_indexer(pd.Index(rank[found]))
    np.add.at(votes, (position[found], chosen), 1)
    most = votes.max(axis=1, initial=0)
    tied = (most > 0) & ((votes == most[:, None]).sum(axis=1) > 1)
    decided = np.where(most > 0, votes.argmax(axis=1), len(INTENSITY_RANKS))
    if ties == "unknown":
        decided = np.where(tied, len(INTENSITY_RANKS), decided)
    groups = pd.Categorical.from_codes(decided, categories=pd.Index([*INTENSITY_RANKS, UNKNOWN]))
    counts = {f"faces whose intensity ratings tie ({ties} rank taken)": int(tied.sum())}
    return Annotated(
        manifest.assign(intensity_rank=groups), unmatched_rows("intensity", table, position), counts
    )


def masks(
    manifest: pd.DataFrame,
    *,
    folder: str | os.PathLike[str],
    suffix: str = "",
    option: str = "annotations",
) -> Annotated:
    """Join a folder of region masks, each a PNG named as its face's image or id.

    Args:
        manifest: the faces.
        folder: with masks directly in it or in folders of their own, as the images are.
        suffix: what a mask's name has more than its image's before the ``.png`` (``_mask``).
        option: where the user set this, for messages.

    Returns:
        The manifest with ``mask_path``. What the masks must hold is said at
        :func:`fer_lab.data.pixels.masks.decode_mask`.
    """
    root = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 (keeps symlinks)
    listed = [
        f"{parent}{os.sep}{name}"
        for parent, _, names in os.walk(root, onerror=say_closed)
        for name in names
        if name.lower().endswith(f"{suffix.lower()}.png")
    ]
    if not listed:
        raise DataError(
            f"there are no masks `*{suffix}.png`",
            where=f"{root} ({option})",
            hint="set `folder` to the folder of masks, and `suffix` to what their names add",
        )
    files = pd.Series(sorted(listed), dtype="str")
    relative = files.str.slice(len(str(root)) + 1, -len(f"{suffix}.png"))
    table = pd.DataFrame({"path": normal_paths(relative), "place": files})
    position = face_positions(manifest, table, option, stems=True)
    refuse_several(manifest, table, position, option)
    found = position >= 0
    before = manifest.get(MASK_PATH, pd.Series(None, manifest.index, dtype="str"))
    paths = before.astype("object").to_numpy().copy()
    paths[position[found]] = files.to_numpy(dtype=object)[found]
    column = pd.Series(paths, manifest.index, dtype="str")
    return Annotated(
        manifest.assign(**{MASK_PATH: column}), unmatched_rows("masks", table, position), {}
    )


KINDS: Mapping[str, Callable[..., Annotated]] = {
    "demographics": demographics,
    "intensity": intensity,
    "masks": masks,
}


def _kind(kind: str, options: Mapping[str, Any], place: str) -> Callable[..., Annotated]:
    """The function of a kind, which has the options."""
    if kind not in KINDS:
        near = near_miss(kind, KINDS)
        raise ConfigError(
            f"no kind of annotations {kind!r}" + (f"; did you mean {near!r}?" if near else ""),
            where=place,
            hint=f"kinds: {', '.join(KINDS)}",
        )
    parameters = inspect.signature(KINDS[kind]).parameters
    known = [name for name in parameters if name not in ("manifest", "option")]
    wrong = [name for name in options if name not in known]
    needed = [name for name in known if parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in needed if options.get(name) is None]
    if wrong or missing:
        raise ConfigError(
            f"{kind} has no option {wrong[0]!r}" if wrong else f"{kind} needs {missing[0]}",
            where=place,
            hint=f"options: {', '.join([*known, 'unmatched'])}",
        )
    return KINDS[kind]
