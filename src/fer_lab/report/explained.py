"""What a page's sections on explanations and intensity show: plain values for the templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import DataError
from fer_lab.report.faithfulness import checks, conclusion, conditions, grid_words
from fer_lab.report.intensity import estimator_title, intensity_words
from fer_lab.report.merged import merged_words
from fer_lab.report.region_facts import GroupPair, difference_words, group_pairs, source_words
from fer_lab.report.run import Run
from fer_lab.report.tables import NO_REGIONS, RegionRow, region_rows
from fer_lab.report.wording import INCOMPLETE, method_title, name, region_title, split_title


def explanation_section(run: Run) -> Mapping[str, Any]:
    """How far to trust the maps, then where the model looks."""
    explanation = run.explanation
    rows = region_rows(explanation)
    random_model = explanation.get("random_model") or {}
    by_class = [
        (f"IoR by {title} (lift in brackets)", explanation[key])
        for key, title in (("by_label", "true class"), ("by_prediction", "predicted class"))
        if explanation.get(key)
    ]
    by_group = [
        (f"IoR by {name(attribute)} (lift in brackets)", groups)
        for attribute, groups in explanation["by_group"].items()
    ]
    tests, pairs = checks(explanation), _pairs(run, rows)
    return {
        "method": method_title(explanation["method"]),
        "layer": explanation["layer"],
        "grid": grid_words(explanation),
        "target": explanation["target"],
        "split": split_title(explanation["split"]).lower(),
        "samples": explanation["samples"],
        "all_zero_maps": explanation["all_zero_maps"],
        "without_regions": explanation.get("without_regions"),
        "no_regions": NO_REGIONS,
        "conclusion": conclusion(explanation),
        "checks": tests,
        "conditions": conditions(explanation) if tests else "",
        "rows": rows,
        "random_samples": random_model.get("samples"),
        "absent": [region_title(r) for r in REGIONS if r not in {row.region for row in rows}],
        "sources": source_words(explanation),
        "by_class": [_compared(title, parts, rows) for title, parts in by_class],
        "by_group": [_compared(title, parts, rows) for title, parts in by_group],
        "pairs": pairs,
        "differences": difference_words(pairs),
        "merged": _merged(run),
        "supplied": run.supplied,
    }


def _compared(title: str, parts: Mapping[str, Any], rows: list[RegionRow]) -> Mapping[str, Any]:
    """A table of regions by groups or classes."""
    return {
        "title": title,
        "columns": [name(part) for part in parts],
        "rows": [
            (row.title, [part.get(row.region, {}) for part in parts.values()]) for row in rows
        ],
    }


def _pairs(run: Run, rows: list[RegionRow]) -> list[GroupPair]:
    try:
        return group_pairs(run.region_differences, [row.region for row in rows])
    except INCOMPLETE:  # a run of one group has no differences
        return []


def _merged(run: Run) -> list[tuple[str, str]]:
    """Name of the figure, and what it shows, of each split."""
    found = []
    for split in run.merged_splits:
        try:
            words = merged_words(run.merged_facts_of(split))
        except INCOMPLETE:
            continue
        text = f"Merged heatmaps on the normal form of a face, {split_title(split).lower()} set: "
        found.append((f"merged_{split}", text + words))
    return found


def intensity_section(run: Run) -> Mapping[str, Any]:
    """How strong the expressions are said to be, by each estimator, and what that is worth."""
    facts = run.intensity
    estimators = [
        {
            "title": estimator_title(key),
            "document": document,
            "shares": list(document["distribution"].items()),
            "per_expression": [
                (name(expression), each, (facts.get("spearman") or {}).get(key, {}).get(expression))
                for expression, each in (document.get("by_expression") or {}).items()
            ],
        }
        for key, document in facts["estimators"].items()
    ]
    if not estimators:
        raise DataError("there is no estimator", where="explanations/intensity.json")
    return {
        "split": split_title(facts["split"]).lower(),
        "words": intensity_words(facts),
        "composite": facts["composite"],
        "rule": facts["rule"],
        "calibrated_on": split_title(facts["calibrated_on"]).lower()
        if facts.get("calibrated_on")
        else None,
        "truth": facts.get("truth"),
        "ranks": [rank for rank, _ in estimators[0]["shares"]],
        "estimators": estimators,
        "not_ranked": [
            (estimator_title(key), reason)
            for key, reason in (facts.get("not_ranked") or {}).items()
        ],
        "warnings": [
            (each["title"], each["document"]["warning"])
            for each in estimators
            if each["document"].get("warning")
        ],
    }
