"""What a run says of regions beside their means: where masks came from, and how groups differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_lab.report.wording import count, is_number, name, printable, region_title

SIGNIFICANT = 0.05
_SOURCES = {
    "dataset": "masks are ground truth of the dataset",
    "prepared": "masks come from prepared files",
    "parser": "masks are what a face parser says, with its errors",
    "landmarks": (
        "masks are outlines from landmarks (hair, ears, neck, cloth, hat, glasses, jewellery and "
        "background cannot be told)"
    ),
}


@dataclass(frozen=True)
class RegionDifference:
    """How much more a model looks at a region in one group than in another.

    Attributes:
        region: its name in the vocabulary.
        title: its name for people.
        facts: ``first_mean``, ``second_mean``, ``value`` (first − second), ``low``, ``high``,
            ``p``, ``p_holm``, ``present_first``, ``present_second``; NaN where undefined.
    """

    region: str
    title: str
    facts: Mapping[str, Any]

    @property
    def marked(self) -> bool:
        """Whether the difference is significant after Holm's correction over the regions."""
        p = self.facts["p_holm"]
        return is_number(p) and p < SIGNIFICANT


@dataclass(frozen=True)
class GroupPair:
    """Two groups of an attribute, and the regions where both have a lift."""

    attribute: str
    first: str
    second: str
    rows: tuple[RegionDifference, ...]

    @property
    def title(self) -> str:
        """``gender: female − male``."""
        return f"{name(self.attribute)}: {name(self.first)} − {name(self.second)}"


def group_pairs(differences: pd.DataFrame, order: Sequence[str]) -> list[GroupPair]:
    """The pairs of groups that were compared, on lift.

    Args:
        differences: ``explanations/group_differences.parquet``.
        order: of the regions; those not named are left out.
    """
    place = {region: position for position, region in enumerate(order)}
    lift = differences[differences["figure"] == "lift"].rename(columns={"difference": "value"})
    lift = lift[lift["value"].notna() & lift["region"].isin(order)]
    pairs = []
    for (attribute, first, second), part in lift.groupby(
        ["attribute", "first", "second"], sort=False, observed=True
    ):
        records: list[dict[str, Any]] = [
            dict(zip(part.columns, row, strict=True))
            for row in part.itertuples(index=False, name=None)
        ]
        rows = sorted(records, key=lambda row: place[row["region"]])
        found = (RegionDifference(r["region"], region_title(r["region"]), r) for r in rows)
        pairs.append(GroupPair(str(attribute), str(first), str(second), tuple(found)))
    return pairs


def difference_words(pairs: Sequence[GroupPair]) -> list[str]:
    """In which regions groups differ, a sentence each, and one for all that do not differ."""
    sentences, alike = [], []
    for pair in pairs:
        said = [
            f"{direction} lift at {', '.join(titles)}"
            for direction, sign in (("more", 1), ("less", -1))
            if (titles := [r.title for r in pair.rows if r.marked and sign * r.facts["value"] > 0])
        ]
        if said:
            sentences.append(f"{pair.title}: {'; '.join(said)}.")
        else:
            alike.append(pair.title)
    if alike:
        sentences.append(f"No region differs beyond chance in {'; '.join(alike)}.")
    return sentences


def source_words(explanation: Mapping[str, Any]) -> list[str]:
    """Where the region masks of each dataset came from, a sentence each.

    >>> source_words({"region_source": {"rafdb": {
    ...     "source": "prepared", "faces": 1200, "covered": 1180, "reasons": {}}}})
    ['rafdb: masks come from prepared files, for 1,180 of 1,200 faces.']
    """
    return [
        f"{name(dataset)}: {_source(facts)}."
        for dataset, facts in (explanation.get("region_source") or {}).items()
    ]


def _source(facts: Mapping[str, Any]) -> str:
    source = facts.get("source")
    if source is None:
        reasons = "; ".join(
            f"{printable(tried)}: {printable(why)}"
            for tried, why in (facts.get("reasons") or {}).items()
        )
        return f"no region masks{f' ({reasons})' if reasons else ''}"
    words = _SOURCES.get(source, f"masks are of the source {printable(source)}")
    return f"{words}, for {count(facts.get('covered'))} of {count(facts.get('faces'))} faces"
