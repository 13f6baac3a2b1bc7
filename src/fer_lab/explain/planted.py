"""Do explanations point at a shortcut that was planted? Ranks of its region, and a causal truth.

A model is trained where its target and an attribute agree. The rank of the attribute's region in
IoR says whether a method points there; the change of the prediction when the attribute is taken off
the same face says whether it should.

Source: FaceX, evaluation on planted shortcuts; the counterfactual truth and the choice on other
cases than those claimed are added here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_lab.explain.rank_correlation import spearman

# Where an attribute shows; of several regions the hottest counts.
ATTRIBUTE_REGIONS: Mapping[str, tuple[str, ...]] = {
    "blond": ("hair",),
    "glasses": ("eye_g",),
    "smiling": ("mouth", "u_lip", "l_lip"),
    "earrings": ("ear_r",),
    "lipstick": ("u_lip", "l_lip"),
    "necklace": ("neck_l",),
    "hat": ("hat",),
}
# What tells ways of explaining apart; methods without a layer have an empty one.
WAY = ["method", "layer"]


def region_means(rows: pd.DataFrame, ids: Iterable[str]) -> pd.DataFrame:
    """Mean IoR of each region over those of some images in which it is present.

    Args:
        rows: one an image, way of explaining and region present: columns ``id``, ``method``,
            ``layer`` (empty for methods without one), ``region``, ``ior`` and ``lift`` (NaN for an
            all-zero map, which is left out).
        ids: the images.

    Returns:
        Indexed by method and layer, in the order of ``rows``; a column a region, NaN where none of
        the images has it.
    """
    ways = pd.MultiIndex.from_frame(rows[WAY].drop_duplicates())
    kept = rows[rows["id"].isin(list(ids)) & rows["lift"].notna()]
    means = kept.groupby([*WAY, "region"], observed=True, sort=False)["ior"].mean().unstack()
    return means.reindex(ways)


def region_ranks(means: pd.DataFrame, attribute: str) -> pd.Series:
    """Rank of an attribute's region, 1 for the highest mean IoR; NaN where it is never present.

    Args:
        means: as :func:`region_means` gives them.
        attribute: a name in ``ATTRIBUTE_REGIONS``; of its regions the hottest counts.

    >>> means = pd.DataFrame({"hair": [0.2], "nose": [0.5], "skin": [0.1]})
    >>> region_ranks(means, "blond").tolist()
    [2.0]
    """
    own = attribute_ior(means, attribute)
    above = means.gt(own, axis=0).sum(axis=1) + 1
    return above.where(own.notna()).astype(float)


def attribute_ior(means: pd.DataFrame, attribute: str) -> pd.Series:
    """Mean IoR of an attribute's hottest region."""
    own = means.reindex(columns=pd.Index(ATTRIBUTE_REGIONS[attribute]))
    return own.max(axis=1)


def mean_effects(effects: pd.DataFrame) -> pd.Series:
    """What each attribute does to the explained class, on the faces that have it.

    Args:
        effects: one row a face and attribute that it has: ``attribute``, ``probability`` of the
            class explained, and ``without``, its probability on the same face without the
            attribute.

    Returns:
        Mean of ``probability − without`` by attribute, in [-1, 1].
    """
    change = effects["probability"] - effects["without"]
    return change.groupby(effects["attribute"], observed=True).mean()


def agreement(ior: pd.DataFrame, effect: pd.Series) -> pd.Series:
    """How well IoR orders attributes as they act on the prediction.

    Maps show what speaks for the class alone, so that the effect counts with its sign: an attribute
    that speaks against the class should be as cold as one that does nothing, or colder.

    Args:
        ior: IoR of attributes, a row a way of explaining, a column an attribute.
        effect: by attribute, as :func:`mean_effects` gives it.

    Returns:
        Spearman's correlation of each row, in [-1, 1], over the attributes known in both; NaN where
        fewer than three are.
    """
    order = list(effect.dropna().index)
    found = [_correlation(row, effect[order].to_numpy()) for row in ior[order].to_numpy(float)]
    return pd.Series(found, index=ior.index, dtype=float)


def case_facts(
    rows: pd.DataFrame, effects: pd.DataFrame, planted: Sequence[str]
) -> list[dict[str, Any]]:
    """Ranks and agreement of every way of explaining one model.

    Args:
        rows: see :func:`region_means`; of all faces explained.
        effects: see :func:`mean_effects`, with the ``id`` of each face.
        planted: the attributes planted. Their ranks are those on faces that have all of them.

    Returns:
        For each method and layer ``ranks`` and ``ior`` (by planted attribute, on those faces),
        ``attribute_ior`` (of every attribute, on the faces that have it), ``agreement``, and
        ``all_zero_maps``.
    """
    carriers = {
        str(name): set(part["id"]) for name, part in effects.groupby("attribute", observed=True)
    }
    everywhere = pd.DataFrame(
        {name: attribute_ior(region_means(rows, ids), name) for name, ids in carriers.items()}
    )
    agrees = agreement(everywhere, mean_effects(effects))
    together = set.intersection(*(carriers.get(name, set()) for name in planted))
    means = region_means(rows, together)
    ranks = {name: region_ranks(means, name) for name in planted}
    own = {name: attribute_ior(means, name) for name in planted}
    flat = rows["lift"].isna().groupby([rows[n] for n in ("id", *WAY)], observed=True).all()
    zero = flat.groupby(level=WAY).sum()
    return [
        {
            "method": method,
            "layer": layer,
            "ranks": {name: _plain(ranks[name][method, layer]) for name in planted},
            "ior": {name: _plain(own[name][method, layer]) for name in planted},
            "attribute_ior": {
                name: _plain(everywhere.loc[(method, layer), name]) for name in carriers
            },
            "agreement": _plain(agrees[method, layer]),
            "all_zero_maps": int(zero[method, layer]),
        }
        for method, layer in means.index
    ]


def overall_agreement(pairs: pd.DataFrame) -> float:
    """Agreement over the attributes of several models at once.

    Args:
        pairs: columns ``ior`` and ``effect``, a row a model and attribute.
    """
    known = pairs.dropna()
    return _correlation(known["ior"].to_numpy(float), known["effect"].to_numpy(float))


def halves(cases: Sequence[str]) -> pd.Series:
    """The half, 0 or 1, of each single case.

    Cases alternate, and in the other order for every second target, so that each half has each
    target equally often and every attribute once.

    Args:
        cases: names such as ``gender-glasses``, target by target.

    >>> halves(["gender-blond", "gender-hat", "age-blond", "age-hat"]).tolist()
    [0, 1, 1, 0]
    """
    targets = [case.partition("-")[0] for case in cases]
    order = list(dict.fromkeys(targets))
    seen: dict[str, int] = {}
    half = []
    for target in targets:
        half.append((order.index(target) + seen.get(target, 0)) % 2)
        seen[target] = seen.get(target, 0) + 1
    return pd.Series(half, index=list(cases), dtype=int)


def cross_fit(table: pd.DataFrame, half: pd.Series) -> pd.DataFrame:
    """The rank of each case by the method and layer that did best on the other half of the cases.

    Best is the lowest mean rank, then the highest mean agreement, then the first in the table.

    Args:
        table: columns ``case``, ``method``, ``layer``, ``rank`` and ``agreement``.
        half: 0 or 1 by case; cases that it does not name are left out.

    Returns:
        Indexed by case: ``rank``, and the ``method`` and ``layer`` it was claimed with. Empty where
        one of the halves has no case.
    """
    rows = table[table["case"].isin(half.index)]
    place = rows["case"].map(half)
    parts = []
    for claimed in (0, 1):
        learnt, held = rows[place != claimed], rows[place == claimed]
        if learnt.empty or held.empty:
            return pd.DataFrame(columns=["rank", *WAY])
        method, layer = best_way(learnt)
        chosen = held[(held["method"] == method) & (held["layer"] == layer)]
        parts.append(chosen.set_index("case")[["rank", *WAY]])
    return pd.concat(parts).reindex([case for case in half.index if case in set(rows["case"])])


def best_way(table: pd.DataFrame) -> tuple[str, str]:
    """Method and layer of the lowest mean rank; one that lacks ranks that others have is out.

    Args:
        table: columns ``method``, ``layer``, ``rank`` and ``agreement``, a row a case and seed.
    """
    grouped = table.groupby(WAY, sort=False)
    scores = grouped[["rank", "agreement"]].mean()
    known = grouped["rank"].count()
    scores = scores[known == known.max()]
    scores = scores.assign(agreement=-scores["agreement"].fillna(-1.0))
    first = scores.sort_values(["rank", "agreement"], kind="stable").index[0]
    return str(first[0]), str(first[1])


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    known = ~(np.isnan(first) | np.isnan(second))
    if known.sum() < 3:
        return float("nan")
    one, two = (torch.from_numpy(values[known])[None] for values in (first, second))
    return float(spearman(one, two)[0])


def _plain(value: Any) -> float | None:
    number = float(value)
    return None if np.isnan(number) else round(number, 6)
