"""Intensity of a run's faces as a table, one row a face, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import assets
from fer_lab.data.synthetic.reader import SyntheticReader
from fer_lab.data.vocabulary import INTENSITY_RANKS, UNKNOWN
from fer_lab.explain.intensity import rankable, validate
from fer_lab.explain.intensity_scores import Terciles, rank_correlations

# Estimators of the study: ranks by counts of signed and of positive relevance.
PUBLISHED = ("counts_signed", "counts_positive")
BINS = tuple(f"bin_{number}" for number in range(1, 11))


def known_intensity(manifest: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """What is known of the intensity of faces, as ranks and as numbers.

    Annotators' ranks count before numbers. Numbers, of drawn faces or of a table's column
    ``intensity``, become ranks by the terciles of each expression over these faces.

    Args:
        manifest: all faces of a split, so that ranks do not depend on a model.

    Returns:
        Indexed by id, the columns ``truth`` (rank, None where it is not known) and ``intensity``
        (NaN where it is not known); and where ranks come from: ``annotators``, ``synthetic``,
        ``intensity column``, or None.
    """
    found = pd.DataFrame(index=pd.Index(manifest["id"].astype(str)))
    found["intensity"] = np.nan
    if "intensity" in manifest:
        found["intensity"] = manifest["intensity"].to_numpy(dtype=np.float64)
    voted = manifest.get("intensity_rank")
    if voted is not None and (voted.astype(str) != UNKNOWN).any():
        found["truth"] = [None if name == UNKNOWN else name for name in voted.astype(str)]
        return found, "annotators"
    if not np.isfinite(found["intensity"]).any():
        found["truth"] = None
        return found, None
    labels = manifest["label"].astype(str).tolist()
    found["truth"] = Terciles.fit(found["intensity"], labels).rank(found["intensity"], labels)
    readers = assets(manifest).readers
    names = manifest["dataset"].astype(str).unique()
    drawn = all(isinstance(readers.get(name), SyntheticReader) for name in names)
    return found, "synthetic" if drawn else "intensity column"


def ranked_by_score(table: pd.DataFrame, cuts: Terciles) -> NDArray[np.object_]:
    """Ranks of the column ``score``, of the faces that the study would rank.

    Args:
        table: ``label``, ``prediction`` and ``score``.
        cuts: by predicted expression.

    Returns:
        Ranks, one a row; None for faces that are not ranked.
    """
    prediction = table["prediction"].astype(str).tolist()
    ranks = np.array(cuts.rank(table["score"], prediction), dtype=object)
    ranks[~rankable(table["label"].astype(str).tolist(), prediction)] = None
    return ranks


def summarise(table: pd.DataFrame, estimators: Mapping[str, str]) -> dict[str, Any]:
    """How ranks are spread, and how they agree with what is known.

    Args:
        table: one row a face: ``label``, ``prediction``, ``truth``, ``intensity``, and the columns
            named in ``estimators``.
        estimators: of each column of ranks the column whose order is compared with intensities;
            ranks themselves are compared by their place.

    Returns:
        - ``samples``: faces that the study would rank; ``left_out``: the ``neutral`` ones, and of
          the others those predicted ``wrong``.
        - ``estimators``: by column what :func:`fer_lab.explain.intensity.validate` says.
        - ``spearman``: by column and expression the correlation with the intensity, None where one
          of the two does not vary; empty where no intensity is known.
    """
    label = table["label"].astype(str)
    ranked = table[rankable(label.tolist(), table["prediction"].astype(str).tolist())]
    neutral = int((label == "neutral").sum())
    expressions = ranked["label"].astype(str).tolist()
    truth = _names(ranked["truth"])
    known = np.isfinite(ranked["intensity"].to_numpy(dtype=np.float64)).any()
    return {
        "samples": len(ranked),
        "left_out": {"neutral": neutral, "wrong": len(table) - neutral - len(ranked)},
        "estimators": {
            name: validate(_names(ranked[name]), truth, expressions) for name in estimators
        },
        "spearman": {
            name: _correlations(ranked[column], ranked["intensity"], expressions)
            for name, column in estimators.items()
            if known
        },
    }


def _correlations(
    values: pd.Series, intensity: pd.Series, expressions: list[str]
) -> dict[str, float | None]:
    numeric = pd.api.types.is_numeric_dtype(values)
    found = rank_correlations(values if numeric else _places(values), intensity, expressions)
    return {name: None if np.isnan(rho) else rho for name, rho in found.items()}


def _places(ranks: pd.Series) -> NDArray[np.float64]:
    """0, 1 or 2; NaN for no rank."""
    places = pd.Index(INTENSITY_RANKS).get_indexer(pd.Index(ranks.astype(object)))
    return np.where(places < 0, np.nan, places)


def _names(ranks: pd.Series) -> list[str | None]:
    """Ranks with None, whatever a file made of it."""
    return [None if pd.isna(name) else str(name) for name in ranks]
