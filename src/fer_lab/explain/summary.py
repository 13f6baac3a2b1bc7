"""Summary explanations as tables: one row an image and region, and their means over who is seen.

Source: FaceX, IoR per region over the images where it is present.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FIGURES = ("ior", "ior_above_mean", "area", "share", "lift")


def tidy(figures: NDArray[np.float32], ids: Sequence[str], regions: Sequence[str]) -> pd.DataFrame:
    """One row for each image and region that is present in it.

    Args:
        figures: ``[N, 5, R]`` in the order of ``FIGURES``; NaN where a region is absent.
        ids: of the images, N.
        regions: names, R.

    Returns:
        Columns ``id``, ``region`` and ``FIGURES``. An all-zero map has no ``share`` and no
        ``lift`` (NaN): it counts as unexplained.
    """
    present = ~np.isnan(figures[:, FIGURES.index("ior")])
    image, region = np.nonzero(present)
    names = pd.Categorical.from_codes(region, categories=pd.Index(regions))
    frame = pd.DataFrame({"id": np.asarray(ids, dtype=object)[image], "region": names})
    for position, name in enumerate(FIGURES):
        frame[name] = figures[image, position, region]
    return frame


def summarise(frame: pd.DataFrame, groups: pd.DataFrame) -> dict[str, Any]:
    """Means over images, overall and for each group of each attribute.

    Args:
        frame: as ``tidy`` makes it.
        groups: indexed by id, one column an attribute, values group names.

    Returns:
        ``samples`` (images explained), ``all_zero_maps`` (left out of the means), ``regions``
        (means and ``present``, the number of images with the region), and ``by_group``.
    """
    unexplained = frame["lift"].isna().groupby(frame["id"]).all()
    explained = frame[~frame["id"].map(unexplained).to_numpy(dtype=bool)]
    by_group: dict[str, dict[str, Any]] = {}
    for attribute in groups:
        member = explained["id"].map(groups[attribute])
        by_group[str(attribute)] = {
            str(group): _means(part, ("ior", "lift"))
            for group, part in explained.groupby(member, observed=True)
        }
    return {
        "samples": len(unexplained),
        "all_zero_maps": int(unexplained.sum()),
        "regions": _means(explained, FIGURES),
        "by_group": by_group,
    }


def _means(frame: pd.DataFrame, figures: Sequence[str]) -> dict[str, Mapping[str, float | int]]:
    grouped = frame.groupby("region", observed=True)
    means = grouped[list(figures)].mean().to_numpy(dtype=float).round(6)
    present = grouped.size()
    return {
        str(region): {**dict(zip(figures, values, strict=True)), "present": int(count)}
        for (region, count), values in zip(present.items(), means.tolist(), strict=True)
    }
