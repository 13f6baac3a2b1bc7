"""The rows of several datasets, each by itself and all together, for an audit of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lab.data.annotating import annotate_each
from fer_lab.data.audit_rows import Wanted, chosen
from fer_lab.data.loading import read_manifests
from fer_lab.data.manifest import (
    DEMOGRAPHICS,
    NO_SOURCE,
    REQUIRED,
    attribute_column,
    group_values,
    validate,
)
from fer_lab.data.merging import Harmonise, harmonised
from fer_lab.data.schema import PREFERRED_ORDER
from fer_lab.data.sources import SOURCES
from fer_lab.data.splitting.target import target_column
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError

MERGED = "merged"


@dataclass(frozen=True)
class Side:
    """The rows of one dataset, or of all of them together.

    Attributes:
        name: of the dataset, or ``merged``.
        rows: ``id``, ``label``, ``subject`` and a categorical column for each audited attribute.
        classes: the labels, in their order.
        groups: the groups of each attribute that is known, without ``unknown``.
        sources_of: where each attribute that is known comes from.
        absent: why an attribute has no groups, by attribute.
        dropped: rows set aside, by reason.
        notes: what was drawn or became unknown, in words.
    """

    name: str
    rows: pd.DataFrame
    classes: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    sources_of: dict[str, str]
    absent: dict[str, str]
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_sides(
    sources: Mapping[str, Mapping[str, Any]],
    wanted: Wanted,
    *,
    attributes: Sequence[str],
    cache_dir: Path,
    harmonise: Harmonise | None = None,
    annotations: Sequence[Mapping[str, Any]] = (),
) -> list[Side]:
    """Read datasets without their pixels, each by itself and, where there are several, merged.

    Each dataset keeps its own groups unless ``harmonise`` says otherwise. The merged rows are
    those of the datasets; an attribute that does not mean the same in all of them is absent
    there, with the reason.

    Args:
        sources: options of each dataset by name.
        wanted: which rows and labels.
        attributes: what is audited, categorical columns of any of the datasets.
        cache_dir: folder of the caches.
        harmonise: tables that bring attributes to common groups, in every side.
        annotations: files of others, see :func:`~fer_lab.data.sources.external.annotate`.

    Returns:
        A side for each dataset and, of several, ``merged`` at the end.

    Raises:
        ConfigError: for options that the datasets do not know.
        DataError: for data that are not as promised, or of which no row is left.
    """
    # Region masks have no say in an audit.
    joined = [each for each in annotations if each.get("kind") != "masks"]
    parts = annotate_each(read_manifests(sources, cache_dir), joined)
    names = [" and ".join(map(str, part["dataset"].unique())) for part in parts]
    if MERGED in names:
        raise ConfigError(
            f"a dataset is called {MERGED}, as all of them together are",
            where="dataset",
            hint="give it another title",
        )
    tables = dict(harmonise or {})
    for attribute in (*attributes, *tables):
        if not any(_has(part, attribute) for part in parts):
            attribute_column(parts[0], attribute)
    known = (*SOURCES, *names)
    sides = []
    for name, part in zip(names, parts, strict=True):
        own = {key: table for key, table in tables.items() if _has(part, key)}
        manifest, notes = harmonised([part], own, datasets=known)
        sides.append(_side(name, manifest, wanted, attributes, notes))
    if len(sides) == 1:
        return sides
    problems = {
        attribute: problem
        for attribute in attributes
        if (problem := _disagreement(parts, attribute, tables, known)) is not None
    }
    return [*sides, _together(sides, attributes, problems)]


def _has(part: pd.DataFrame, attribute: str) -> bool:
    try:
        attribute_column(part, attribute)
    except ConfigError:
        return False
    return True


def _side(
    name: str,
    manifest: pd.DataFrame,
    wanted: Wanted,
    attributes: Sequence[str],
    notes: Sequence[str],
) -> Side:
    """One dataset by itself, its attributes under their own names."""
    manifest, classes, dropped, drawn = chosen(manifest, wanted)
    rows = {each: manifest[each] for each in ("id", "label", "subject")}
    groups: dict[str, tuple[str, ...]] = {}
    sources_of: dict[str, str] = {}
    absent: dict[str, str] = {}
    for attribute in attributes:
        column = attribute_column(manifest, attribute) if _has(manifest, attribute) else None
        rows[attribute] = _unknown(len(manifest))
        if column is None or (manifest[column] == UNKNOWN).all():
            absent[attribute] = f"not known for any face of {name}"
        elif column == target_column(manifest, wanted.target):
            absent[attribute] = "it is the label itself"
        else:
            rows[attribute] = manifest[column]
            groups[attribute] = group_values(manifest, attribute)
            source = f"{column}_source"
            named = sorted(set(manifest[source]) - {NO_SOURCE}) if source in manifest else []
            sources_of[attribute] = " and ".join(named) or "annotated"
    return Side(
        name=name,
        rows=pd.DataFrame(rows),
        classes=classes,
        groups=groups,
        sources_of=sources_of,
        absent=absent,
        dropped=dropped,
        notes=(*notes, *drawn),
    )


def _unknown(length: int) -> pd.Series:
    return pd.Series(pd.Categorical([UNKNOWN] * length, categories=[UNKNOWN]))


def _disagreement(
    parts: Sequence[pd.DataFrame],
    attribute: str,
    tables: Harmonise,
    datasets: Sequence[str],
) -> str | None:
    """Why an attribute means different things in the datasets, in words, or None."""
    if attribute == "dataset":
        return None
    kinds = []
    for part in parts:
        if not _has(part, attribute):
            continue
        column = attribute_column(part, attribute)
        also = (f"{column}_source", "age_years") if column in DEMOGRAPHICS else ()
        told = [column, *(name for name in also if name in part)]
        # One row of each kind is enough to tell, and 400,000 take seconds.
        kind = part[[*REQUIRED, *told]].drop_duplicates(told)
        kind.attrs = {}
        kinds.append(validate(kind))
    table = {attribute: tables[attribute]} if attribute in tables else None
    try:
        harmonised(kinds, table, datasets=datasets)
    except DataError as error:
        return f"{error.what} ({error.where}): {error.hint}"
    return None


def _together(
    sides: Sequence[Side], attributes: Sequence[str], problems: Mapping[str, str]
) -> Side:
    """All rows below each other, with the attributes that mean the same everywhere."""
    # A person of one dataset is nobody of another that has the same number.
    alone = [side.rows[["id", "label"]] for side in sides]
    people = [side.name + "/" + side.rows["subject"] for side in sides]
    rows = pd.concat(alone, ignore_index=True)
    rows["subject"] = pd.concat(people, ignore_index=True)
    groups: dict[str, tuple[str, ...]] = {}
    sources_of: dict[str, str] = {}
    absent: dict[str, str] = {}
    for attribute in attributes:
        told = [side for side in sides if attribute in side.groups]
        if not told or attribute in problems:
            absent[attribute] = problems.get(attribute, "not known for any face")
            rows[attribute] = _unknown(len(rows)).to_numpy()
            continue
        found = dict.fromkeys(group for side in told for group in side.groups[attribute])
        first = [group for group in PREFERRED_ORDER.get(attribute, ()) if group in found]
        groups[attribute] = tuple(dict.fromkeys([*first, *found]))
        values = pd.concat([side.rows[attribute].astype("str") for side in sides])
        rows[attribute] = pd.Categorical(values, categories=[*groups[attribute], UNKNOWN])
        kinds = dict.fromkeys(side.sources_of[attribute] for side in told)
        sources_of[attribute] = " and ".join(kinds)
    return Side(
        name=MERGED,
        rows=rows,
        classes=tuple(dict.fromkeys(label for side in sides for label in side.classes)),
        groups=groups,
        sources_of=sources_of,
        absent=absent,
    )
