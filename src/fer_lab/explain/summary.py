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


def summarise(
    frame: pd.DataFrame, groups: pd.DataFrame, *, samples: int | None = None
) -> dict[str, Any]:
    """Means over images: overall, by group, by true and by predicted class.

    Args:
        frame: as ``tidy`` makes it; its columns ``label`` and ``prediction``, where it has them,
            give the classes.
        groups: indexed by id, one column an attribute, values group names.
        samples: images explained, those without any region included; by default those in ``frame``.

    Returns:
        ``samples`` (images explained), ``without_regions`` (those without a mask),
        ``all_zero_maps`` (left out of the means), ``regions`` (means and ``present``, the number of
        images with the region), ``by_group``, ``by_label`` and ``by_prediction``.
    """
    unexplained = frame["lift"].isna().groupby(frame["id"]).all()
    explained = frame[~frame["id"].map(unexplained).to_numpy(dtype=bool)]
    total = len(unexplained) if samples is None else samples
    return {
        "samples": total,
        "without_regions": total - len(unexplained),
        "all_zero_maps": int(unexplained.sum()),
        "regions": region_means(explained, FIGURES),
        "by_group": {
            str(attribute): _means_by(explained, explained["id"].map(groups[attribute]))
            for attribute in groups
        },
        **{
            f"by_{column}": _means_by(explained, explained[column])
            for column in ("label", "prediction")
            if column in explained
        },
    }


def region_means(
    frame: pd.DataFrame, figures: Sequence[str] = ("ior", "lift")
) -> dict[str, Mapping[str, float | int]]:
    """Means of figures over the images in which each region is present, and how many those are."""
    grouped = frame.groupby("region", observed=True)
    means = grouped[list(figures)].mean().to_numpy(dtype=float).round(6)
    present = grouped.size()
    return {
        str(region): {**dict(zip(figures, values, strict=True)), "present": int(count)}
        for (region, count), values in zip(present.items(), means.tolist(), strict=True)
    }


def _means_by(frame: pd.DataFrame, member: pd.Series) -> dict[str, Any]:
    parts = frame.groupby(member, observed=True)
    return {str(name): region_means(part) for name, part in parts}
