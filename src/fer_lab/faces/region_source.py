"""Where the region masks of each dataset come from: a decision, made before any mask is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import pandas as pd

from fer_lab.data.assets import Reader, Sample, assets
from fer_lab.data.pixels.masks import COLUMN, in_parts
from fer_lab.errors import ConfigError

Source = Literal["dataset", "prepared", "parser", "landmarks"]

# What is known from people comes before what a network says, and that before an outline.
ORDER: Final[tuple[Source, ...]] = get_args(Source)

# The size at which a reader is asked for a sample to see whether it has masks.
_PROBE: Final = 48


@dataclass(frozen=True)
class RegionSource:
    """Where one dataset's masks come from.

    Attributes:
        dataset: its name.
        source: ``dataset`` (ground truth), ``prepared`` (files that somebody made), ``parser``,
            ``landmarks``, or None where there is nothing.
        faces: rows of the dataset.
        covered: of them, those that the source has, or may have, a mask for; the others have none.
        reasons: by each source that was looked at, why it was taken or passed over.
    """

    dataset: str
    source: Source | None
    faces: int
    covered: int
    reasons: tuple[tuple[Source, str], ...]

    def __str__(self) -> str:
        taken = self.source or "no region masks"
        why = "; ".join(f"{source}: {reason}" for source, reason in self.reasons)
        return f"{self.dataset}: {taken}, {self.covered} of {self.faces} faces ({why})"


def region_source(
    manifest: pd.DataFrame,
    *,
    parser_file: Path | None = None,
    order: Sequence[Source] = ORDER,
) -> dict[str, RegionSource]:
    """Decide where the region masks of each dataset come from.

    A dataset takes the first source in ``order`` that has a mask for any of its faces, and that
    one alone: a figure over masks of two kinds would compare the kinds. No mask is made or read;
    of a dataset whose pixels are no files one small sample is drawn to see whether it has one.

    - ``dataset``: a reader that draws masks, masks in parts (CelebAMask-HQ), and masks
      (``mask_path``) below the dataset's own folder;
    - ``prepared``: masks anywhere else (``mask_path``);
    - ``parser``: if ``parser_file`` is there;
    - ``landmarks``: for faces that have them.

    Args:
        manifest: rows of one or several datasets.
        parser_file: weights of a face parser (`fer_lab.faces.parsing.weights_file`); None where
            the parser is turned off.
        order: the sources to look at, best first.

    Returns:
        By dataset, in the order of their first rows.

    Raises:
        ConfigError: for a source that is none, or is named twice.
    """
    wrong = [name for name in order if name not in ORDER]
    if wrong or len(set(order)) < len(order):
        raise ConfigError(
            f"region sources are named once each; not {', '.join(wrong or order)}",
            where="order of region sources",
            hint=f"choose from {', '.join(ORDER)}",
        )
    return {
        str(name): _decide(str(name), manifest[manifest["dataset"] == name], parser_file, order)
        for name in manifest["dataset"].unique()
    }


def _decide(
    name: str, rows: pd.DataFrame, parser_file: Path | None, order: Sequence[Source]
) -> RegionSource:
    reasons: list[tuple[Source, str]] = []
    for source in order:
        covered, reason = _look(source, name, rows, parser_file)
        reasons.append((source, reason))
        if covered:
            return RegionSource(name, source, len(rows), covered, tuple(reasons))
    return RegionSource(name, None, len(rows), 0, tuple(reasons))


def _look(
    source: Source, name: str, rows: pd.DataFrame, parser_file: Path | None
) -> tuple[int, str]:
    """How many faces a source has a mask for, and why."""
    beside = assets(rows)
    reader = beside.readers.get(name)
    if source in ("dataset", "prepared"):
        if source == "dataset" and reader is not None and _sample(reader, rows).regions is not None:
            return len(rows), "masks come with its pictures"
        known = rows[COLUMN].dropna().astype(str) if COLUMN in rows else pd.Series(dtype="str")
        root = beside.roots.get(name)
        own = known.map(lambda path: in_parts(path) or _below(path, root)).astype(bool)
        if source == "dataset":
            count = int(own.sum())
            return count, f"{count} masks in its own folder" if count else "it has no masks"
        count = int((~own).sum())
        return count, f"{count} masks in files" if count else f"no masks in files ({COLUMN})"
    if source == "parser":
        if parser_file is None:
            return 0, "turned off"
        if not parser_file.is_file():
            return 0, f"no weights: {parser_file}"
        return len(rows), f"weights {parser_file.name}"
    if reader is not None and _sample(reader, rows).landmarks is not None:
        return len(rows), "landmarks come with its pictures"
    if "landmarks" not in rows or "landmarks" not in beside.arrays:
        return 0, "no landmarks"
    count = int((rows["landmarks"] >= 0).sum())
    return count, f"{count} faces have landmarks"


def _sample(reader: Reader, rows: pd.DataFrame) -> Sample:
    return reader.read(str(rows["path"].iloc[0]), _PROBE)


def _below(path: str, root: str | None) -> bool:
    return root is not None and os.path.abspath(path).startswith(os.path.join(root, ""))  # noqa: PTH100, PTH118
