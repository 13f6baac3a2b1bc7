"""What an audit of datasets found: one document a dataset, and the tables beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lab.bias import (
    MEASURES,
    dataset_bias,
    four_way_matrix,
    joint_matrix,
    macro_correlation,
    micro_correlation,
)
from fer_lab.data.side_by_side import Side
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import DataError
from fer_lab.files import atomic_path, write_json

Document = dict[str, Any]

AUDIT = "audit.json"
TABLES = ("measures", "counts", "macro", "micro", "joint_matrix", "four_way")
OVERALL = "all"
_FIGURES = ("value", "low", "high", "null_mean", "null_p95", "p", "excess")


@dataclass(frozen=True)
class Audit:
    """Datasets, audited.

    Attributes:
        facts: what holds for all of them: ``name``, ``rows``, ``variant``, ``filter``, ``level``,
            ``resamples``, ``target`` and ``attributes``.
        documents: by dataset (``merged`` last) what ``fer_lab.bias.dataset_bias`` gives, with
            ``absent`` (why an attribute is not measured), ``unknown`` (faces of which an attribute
            is not known), ``combined`` (attributes of ``four_way``), ``dropped`` and ``notes``.
        counts: ``dataset``, ``attribute``, ``group`` or ``unknown``, ``label``, ``count``.
        macro: ``dataset``, ``attribute``, ``value``, ``count``, ``share``.
        micro: ``dataset``, a column for each attribute, ``label``, ``count``, ``total``, ``share``.
        joint_matrix: ``dataset``, ``attribute``, ``value``, ``other``, ``other_value``, ``share``.
        four_way: ``dataset``, a column for each attribute combined, ``label``, ``share``.
    """

    facts: Document
    documents: dict[str, Document]
    counts: pd.DataFrame
    macro: pd.DataFrame
    micro: pd.DataFrame
    joint_matrix: pd.DataFrame
    four_way: pd.DataFrame

    @property
    def attributes(self) -> list[str]:
        """What was audited, in its order, whether it is known or not."""
        return [str(name) for name in self.facts["attributes"]]

    @property
    def measures(self) -> pd.DataFrame:
        """A row for each dataset, attribute and measure, and one for their ``bias``.

        The attribute ``all`` is the mean over attributes. What is not known is NaN.
        """
        rows = []
        for dataset, document in self.documents.items():
            parts = {name: document["attributes"].get(name) for name in self.attributes}
            for attribute, part in {**parts, OVERALL: document}.items():
                figures = {} if part is None else {**part["measures"], "bias": part["bias"]}
                for measure in (*document["measure_names"], "bias"):
                    found = figures.get(measure) or {}
                    numbers = [found.get(each) for each in _FIGURES]
                    rows.append([dataset, attribute, measure, *numbers])
        table = pd.DataFrame(rows, columns=["dataset", "attribute", "measure", *_FIGURES])
        return table.astype(dict.fromkeys(_FIGURES, "float64"))


def audit_of(sides: Sequence[Side], facts: Document) -> Audit:
    """Every measure and correlation of every side.

    Args:
        sides: the rows.
        facts: what holds for all of them, see :class:`Audit`.
    """
    counts, macro, micro, joint, four_way = {}, {}, {}, {}, {}
    documents = {}
    for side in sides:
        rows, classes, groups = side.rows, side.classes, side.groups
        documents[side.name] = _document(side, facts)
        counts[side.name] = _counts(side, facts["attributes"])
        macro[side.name] = macro_correlation(rows, classes, groups)
        joint[side.name] = joint_matrix(rows, classes, groups)
        if groups:
            micro[side.name] = micro_correlation(rows, classes, groups)
            together = {name: groups[name] for name in documents[side.name]["combined"]}
            matrix = four_way_matrix(rows, classes, together)
            cells = matrix.rename_axis(index="label")
            four_way[side.name] = cells.melt(ignore_index=False, value_name="share").reset_index()
    return Audit(
        facts=facts,
        documents=documents,
        counts=_below(counts),
        macro=_below(macro),
        micro=_below(micro),
        joint_matrix=_flat(joint),
        four_way=_below(four_way),
    )


def write_audit(audit: Audit, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``audit.json`` and, in ``tables/``, each table as CSV and Parquet.

    Returns:
        The files written.
    """
    root = Path(folder)
    write_json(root / AUDIT, {**audit.facts, "datasets": audit.documents})
    written = [root / AUDIT]
    for name in TABLES:
        table: pd.DataFrame = getattr(audit, name)
        for suffix in ("csv", "parquet"):
            path = root / "tables" / f"{name}.{suffix}"
            with atomic_path(path) as temporary:
                if suffix == "csv":
                    table.to_csv(temporary, index=False)
                else:
                    table.to_parquet(temporary, index=False)
            written.append(path)
    return written


def load_audit(folder: str | os.PathLike[str]) -> Audit:
    """Read what :func:`write_audit` wrote.

    Raises:
        DataError: if a file is missing or damaged.
    """
    root = Path(folder)
    path = root / AUDIT
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        documents = facts.pop("datasets")
        tables = {}
        for name in TABLES[1:]:
            path = root / "tables" / f"{name}.parquet"
            tables[name] = pd.read_parquet(path)
        return Audit(facts, documents, **tables)
    except Exception as error:  # every format's reader has its own family of errors
        raise DataError(
            f"this is no audit that can be read: {type(error).__name__}: {error}",
            where=path,
            hint="`fer-lab audit dataset=…` writes one",
        ) from error


def in_table(attribute: str) -> str:
    """The column of an attribute in ``micro`` and ``four_way``, where ``dataset`` has one.

    >>> in_table("gender"), in_table("dataset")
    ('gender', 'attribute_dataset')
    """
    return f"attribute_{attribute}" if attribute == "dataset" else attribute


def _combined(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The attributes whose combinations are shown: age, gender and race, or the first three.

    >>> _combined({"gender": (), "glasses": (), "race": (), "pose": ()})
    ['gender', 'race', 'glasses']
    """
    first = [name for name in ("age", "gender", "race") if name in groups]
    return [*first, *(name for name in groups if name not in first)][:3]


def _document(side: Side, facts: Document) -> Document:
    """The measures of one side, and what is not known there."""
    options = {name: facts[name] for name in ("variant", "resamples", "level", "seed")}
    document: Document = {
        "samples": len(side.rows),
        "classes": list(side.classes),
        "attributes": {},
        "measures": {},
        "bias": {"value": None},
    }
    absent = dict(side.absent)
    compared = {}
    for attribute, names in side.groups.items():
        there = side.rows[attribute].value_counts()
        present = [name for name in names if there.get(name, 0)]
        if len(present) > 1:
            compared[attribute] = names
        else:
            absent[attribute] = f"one group alone: {', '.join(present)}"
    if compared:
        document = dataset_bias(side.rows, classes=side.classes, groups=compared, **options)
    for attribute, part in document["attributes"].items():
        part |= _source(side.sources_of[attribute])
    return document | {
        "measure_names": list(MEASURES),
        "combined": _combined(side.groups),
        "absent": absent,
        "unknown": {
            attribute: int((side.rows[attribute] == UNKNOWN).sum())
            for attribute in facts["attributes"]
        },
        "dropped": {reason: count for reason, count in side.dropped.items() if count},
        "notes": list(side.notes),
    }


def _below(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of datasets below each other; a dataset without an attribute has no cell there."""
    parts = [table.rename(columns=in_table).assign(dataset=name) for name, table in tables.items()]
    if not parts:
        return pd.DataFrame({"dataset": pd.Series(dtype="str")})
    whole = pd.concat(parts, ignore_index=True)
    last = [name for name in ("label", "count", "total", "share") if name in whole]
    groups = [name for name in whole if name not in ("dataset", *last)]
    return whole[["dataset", *groups, *last]]


def _source(source: str) -> Document:
    """Who inferred an attribute, where not all of it is annotated.

    >>> _source("annotated and FairFace")
    {'source': 'FairFace, annotated in part', 'inferred': True}
    """
    sources = source.split(" and ")
    models = [each for each in sources if each not in ("annotated", "synthetic")]
    if not models:
        return {"source": source, "inferred": False}
    part = ", annotated in part" if len(models) < len(sources) else ""
    return {"source": " and ".join(models) + part, "inferred": True}


def _counts(side: Side, attributes: Sequence[str]) -> pd.DataFrame:
    """Faces by attribute, group and label, those of an unknown group among them."""
    parts = []
    for attribute in attributes:
        groups = [*side.groups.get(attribute, ()), UNKNOWN]
        cells = pd.MultiIndex.from_product([groups, side.classes], names=["group", "label"])
        values = side.rows[attribute].astype("str").to_numpy(dtype=object)
        found = side.rows.groupby([values, side.rows["label"].to_numpy(dtype=object)]).size()
        part = found.reindex(cells, fill_value=0).rename("count").reset_index()
        part.insert(0, "attribute", attribute)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _flat(matrices: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Joint matrices below each other, a row for each cell."""
    parts = []
    for dataset, matrix in matrices.items():
        cells = matrix.rename_axis(columns=["other", "other_value"])
        long = cells.melt(ignore_index=False, value_name="share").reset_index()
        long.insert(0, "dataset", dataset)
        parts.append(long)
    return pd.concat(parts, ignore_index=True)
