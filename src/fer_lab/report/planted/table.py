"""Tables of planted shortcuts, from the run folders of a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.synthetic.shortcuts import CASES
from fer_lab.explain.planted import WAY, cross_fit, halves, overall_agreement

SINGLE_CASES = [name for name, case in CASES.items() if len(case.attributes) == 1]
CONTROL = 0.5


def planted_table(folder: Path) -> pd.DataFrame:
    """One row a run, method, layer and attribute of those whose effect was measured.

    Returns:
        Columns ``seed``, ``strength``, ``case``, ``cases`` (``single`` or ``double``), ``method``,
        ``layer``, ``grid``, ``attribute``, ``planted`` (whether it is one of the case's), ``rank``
        and ``rank_ior`` (of planted ones: on faces that have all of them), ``ior`` and ``effect``
        (on the faces that have the attribute), ``faces``, ``area``, ``agreement`` (of the run's
        method and layer), ``all_zero_maps`` and ``accuracy``. A run left unfinished has none.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*/explanations/planted.json"), key=_job):
        record = json.loads((path.parents[1] / "run.json").read_text(encoding="utf-8"))
        rows += _rows(json.loads(path.read_text(encoding="utf-8")), int(record["seed"]))
    return pd.DataFrame(rows)


def planted_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run, method and layer: of its planted attributes the better and the other rank.

    Returns:
        The columns of :func:`planted_table` that are of a run or way, with ``rank`` (the better, of
        two), ``other`` (NaN for a single one) and ``effect`` (the attribute's of the better rank).
    """
    planted = table[table["planted"]].sort_values("rank", kind="stable")
    keys = ["seed", "strength", "case", "method", "layer"]
    first = planted.drop_duplicates(keys)
    last = planted.drop_duplicates(keys, keep="last").set_index(keys)["rank"]
    other = last.reindex(pd.MultiIndex.from_frame(first[keys])).to_numpy()
    double = (first["cases"] == "double").to_numpy()
    return first.assign(other=np.where(double, other, np.nan)).sort_index(kind="stable")


def claims(ranks: pd.DataFrame) -> pd.DataFrame:
    """Ranks of the single cases by the way chosen on the other half of them, for each seed.

    Args:
        ranks: as :func:`planted_ranks` gives them.

    Returns:
        Columns ``seed``, ``case``, ``rank``, ``method``, ``layer``.
    """
    single = ranks[(ranks["cases"] == "single") & (ranks["strength"] != CONTROL)]
    parts = [
        cross_fit(part, halves(SINGLE_CASES)).rename_axis("case").reset_index().assign(seed=seed)
        for seed, part in single.groupby("seed")
    ]
    empty = pd.DataFrame(columns=["seed", "case", "rank", *WAY])
    return pd.concat([empty, *parts], ignore_index=True) if parts else empty


def ways_table(table: pd.DataFrame) -> pd.DataFrame:
    """Each method and layer: mean ranks, those of the control, and agreement with the truth.

    Returns:
        Indexed by method and layer; ``single`` and ``spread`` (mean and standard deviation of the
        seeds' mean ranks), ``control``, ``better`` and ``other`` of two attributes and the same of
        their control, ``agreement`` (mean over single and double cases) and ``over_cases`` (over
        the attributes of all cases of a seed at once, mean over seeds), ``all_zero`` (share).
    """
    ranks = planted_ranks(table)
    planted, control = ranks[ranks["strength"] != CONTROL], ranks[ranks["strength"] == CONTROL]

    def mean(rows: pd.DataFrame, cases: str, column: str) -> pd.Series:
        chosen = rows[rows["cases"] == cases]
        return chosen.groupby([*WAY, "seed"], sort=False)[column].mean()

    single = mean(planted, "single", "rank").groupby(level=WAY, sort=False)
    pairs = table[table["strength"] != CONTROL].groupby([*WAY, "seed"], sort=False)
    over = pairs[["ior", "effect"]].apply(overall_agreement)
    columns = {
        "single": single.mean(),
        "spread": single.std(),
        "control": mean(control, "single", "rank"),
        "better": mean(planted, "double", "rank"),
        "other": mean(planted, "double", "other"),
        "control_better": mean(control, "double", "rank"),
        "control_other": mean(control, "double", "other"),
        "agreement": planted.groupby([*WAY, "seed"], sort=False)["agreement"].mean(),
        "over_cases": over,
        "all_zero": planted.groupby([*WAY, "seed"], sort=False)["zero_share"].mean(),
    }
    grouped = {
        name: values if values.index.nlevels == 2 else values.groupby(level=WAY, sort=False).mean()
        for name, values in columns.items()
    }
    order = pd.MultiIndex.from_frame(ranks[WAY].drop_duplicates())
    return pd.DataFrame({name: values.reindex(order) for name, values in grouped.items()})


def cases_table(table: pd.DataFrame) -> pd.DataFrame:
    """Each case and planted attribute: what it did to the prediction, its area, the claimed rank.

    Returns:
        Indexed by case and attribute; ``effect`` and ``control_effect`` (means over seeds),
        ``area`` (share of the picture, where present), ``accuracy`` (on the balanced faces),
        ``claimed`` (single cases).
    """
    own = table[table["planted"]].drop_duplicates(["seed", "strength", "case", "attribute"])
    planted, control = own[own["strength"] != CONTROL], own[own["strength"] == CONTROL]
    keys = ["case", "attribute"]
    means = planted.groupby(keys, sort=False)[["effect", "area", "accuracy"]].mean()
    means.insert(1, "control_effect", control.groupby(keys)["effect"].mean().reindex(means.index))
    claimed = claims(planted_ranks(table)).groupby("case")["rank"].mean()
    means["claimed"] = claimed.reindex(means.index.get_level_values("case")).to_numpy(float)
    order = {name: place for place, name in enumerate(CASES)}
    return means.sort_index(level="case", key=lambda c: c.map(order), sort_remaining=False)


def _rows(facts: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    planted = facts["attributes"]
    return [
        {
            "seed": seed,
            "strength": facts["strength"],
            "case": facts["case"],
            "cases": "single" if len(planted) == 1 else "double",
            "method": way["method"],
            "layer": way["layer"],
            "grid": facts["grids"].get(way["layer"], np.nan),
            "attribute": name,
            "planted": name in planted,
            "rank": _known(way["ranks"].get(name)),
            "rank_ior": _known(way["ior"].get(name)),
            "ior": _known(way["attribute_ior"].get(name)),
            "effect": effect["effect"],
            "faces": effect["faces"],
            "area": facts["areas"][name],
            "agreement": _known(way["agreement"]),
            "zero_share": way["all_zero_maps"] / facts["faces"],
            "accuracy": facts["accuracy"],
        }
        for way in facts["ways"]
        for name, effect in facts["effects"].items()
    ]


def _job(path: Path) -> tuple[int, str]:
    name = path.parents[1].name
    return (int(name), "") if name.isdecimal() else (-1, name)


def _known(value: float | None) -> float:
    return np.nan if value is None else float(value)
