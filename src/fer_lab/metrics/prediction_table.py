"""A table of predictions as checked integer columns, and as counted cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.predictions.table import PROBABILITY
from fer_lab.data.vocabulary import EXPRESSIONS, UNKNOWN
from fer_lab.errors import DataError
from fer_lab.metrics.attribute_columns import Attributes, attribute_columns, codes, grouped
from fer_lab.metrics.calibration import confidence_bins
from fer_lab.metrics.cells import Cells, Integers, distinct


@dataclass(frozen=True)
class PredictionTable:
    """Predictions by sample; rows without a label or a prediction are set aside and counted.

    Attributes:
        classes: names of the expressions.
        groups: ``{attribute: names of its known groups}``.
        ids: id of each sample, ``[n]``.
        group: by sample and attribute, ``[n, A]``; the number of known groups is unknown.
        label: true class, ``[n]``.
        prediction: predicted class, ``[n]``.
        confidence: probability of the predicted class, ``[n]``; None without probabilities.
        subject: number of the subject, ``[n]``; None where none has two samples.
        set_aside: reason -> rows.
        messages: what a reader of the figures should know.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    ids: NDArray[np.object_]
    group: Integers
    label: Integers
    prediction: Integers
    confidence: NDArray[np.float64] | None
    subject: Integers | None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    messages: Sequence[str] = ()

    def rows(self, chosen: Integers) -> PredictionTable:
        """The same table with these rows alone, in this order."""
        return PredictionTable(
            self.classes,
            self.groups,
            self.ids[chosen],
            self.group[chosen],
            self.label[chosen],
            self.prediction[chosen],
            None if self.confidence is None else self.confidence[chosen],
            None if self.subject is None else self.subject[chosen],
            self.set_aside,
            self.messages,
        )


def read_predictions(
    frame: pd.DataFrame,
    *,
    attributes: Attributes = None,
    classes: Sequence[str] | None = None,
) -> PredictionTable:
    """Check a table of predictions.

    Args:
        frame: ``id``, ``label`` and ``prediction`` (names), optionally ``prob_<class>``,
            ``subject`` (with ``dataset``, of which it is a part) and a column per attribute.
        attributes: columns whose groups are compared, or ``{column: names of its groups}`` to
            give their order and those without samples; None for every column of names, truth
            values or categories that is none of the above, with 50 groups at most.
        classes: names of the expressions; None for those of the probabilities, labels and
            predictions.

    Raises:
        DataError: for a missing column, a repeated id, a prediction that is none of the classes,
            a group that is none of those given, or a probability outside 0 to 1.
        ConfigError: for an attribute that the table does not have.
    """
    missing = [name for name in ("id", "label", "prediction") if name not in frame]
    if missing:
        raise DataError(
            f"the table of predictions has no column {', '.join(missing)}",
            where=f"columns {', '.join(map(str, frame.columns)) or '(none)'}",
            hint="predictions need id, label and prediction, and a column per attribute",
        )
    names = tuple(classes) if classes is not None else found_classes(frame)
    label, prediction = (codes(frame[column], names) for column in ("label", "prediction"))
    _refuse_repeats(frame["id"])
    stray = (prediction < 0) & frame["prediction"].notna().to_numpy()
    if stray.any():
        raise DataError(
            f"{frame['prediction'].to_numpy()[stray][0]!r} is predicted but no class",
            where=f"prediction of {int(stray.sum())} rows, first id {_first_id(frame, stray)}",
            hint=f"the classes are {', '.join(names)}",
        )
    unlabelled = frame["label"].isna().to_numpy() | (frame["label"] == UNKNOWN).to_numpy()
    reasons = {
        "no label": unlabelled,
        "label is none of the classes": (label < 0) & ~unlabelled,
        "no prediction": (prediction < 0) & (label >= 0),
    }
    kept = np.flatnonzero((label >= 0) & (prediction >= 0))
    rows, label, prediction = frame.iloc[kept], label[kept], prediction[kept]
    messages: list[str] = []
    columns = attribute_columns(frame, attributes, messages)
    given = attributes if isinstance(attributes, Mapping) else {}
    read = {name: grouped(name, rows[column], given.get(name)) for name, column in columns.items()}
    for name, (groups, group) in list(read.items()):
        if not groups or (attributes is None and (group == len(groups)).all()):
            messages.append(f"{name}: no group is known, so that it is not audited")
            del read[name]
    empty = np.zeros((len(rows), 0), dtype=np.int64)
    return PredictionTable(
        names,
        {name: groups for name, (groups, _) in read.items()},
        rows["id"].astype(str).to_numpy(dtype=object),
        np.column_stack([empty, *(group for _, group in read.values())]),
        label,
        prediction,
        _confidence(rows, names, prediction, messages),
        _subjects(rows),
        {reason: int(found.sum()) for reason, found in reasons.items() if found.any()},
        tuple(messages),
    )


def found_classes(*frames: pd.DataFrame) -> tuple[str, ...]:
    """Classes that have a probability, a label or a prediction: the vocabulary's order first."""
    names: dict[str, None] = {}
    for frame in frames:
        probabilities = [str(name) for name in frame.columns if str(name).startswith(PROBABILITY)]
        names |= dict.fromkeys(name.removeprefix(PROBABILITY) for name in probabilities)
    for column in ("label", "prediction"):
        values = {str(v) for frame in frames for v in frame[column].dropna().unique()}
        names |= dict.fromkeys(sorted(values - {UNKNOWN}))
    known = [name for name in EXPRESSIONS if name in names]
    return (*known, *(name for name in names if name not in EXPRESSIONS))


def counted(tables: Sequence[PredictionTable]) -> list[Cells]:
    """Cells of tables about the same samples, in the same order; units are shared.

    Groups, labels and subjects are those of the first table.
    """
    first = tables[0]
    bins = [None if t.confidence is None else confidence_bins(t.confidence) for t in tables]
    columns = [*first.group.T, first.label, *(table.prediction for table in tables)]
    columns += [column for column in bins if column is not None]
    clustered = first.subject is not None
    if first.subject is not None:
        columns.append(first.subject)
    number, place = distinct(*columns)
    seen = np.bincount(number, minlength=len(place))
    if first.subject is not None:
        unit, count = first.subject[place], seen
        copies = np.ones(int(unit.max(initial=-1)) + 1, dtype=np.int64)
    else:
        unit, count, copies = np.arange(len(place)), np.ones(len(place), dtype=np.int64), seen
    return [
        Cells(
            table.classes,
            first.groups,
            first.group[place],
            first.label[place],
            table.prediction[place],
            count,
            unit,
            copies,
            None if binned is None else binned[place],
            # All figures but the spread inside a bin need no more than the mean.
            None
            if table.confidence is None
            else np.bincount(number, table.confidence, len(place)) / np.maximum(seen, 1),
            clustered,
        )
        for table, binned in zip(tables, bins, strict=True)
    ]


def _first_id(frame: pd.DataFrame, rows: NDArray[np.bool_]) -> object:
    return frame["id"].to_numpy()[rows][0]


def _refuse_repeats(ids: pd.Series) -> None:
    repeated = ids.duplicated() | ids.isna()
    if repeated.any():
        value = ids[repeated].iloc[0]
        raise DataError(
            f"the id {value} stands in more than one row" if pd.notna(value) else "an id is empty",
            where=f"column id, {int(repeated.sum())} rows",
            hint="every sample needs one row and an id of its own",
        )


def _confidence(
    rows: pd.DataFrame, classes: Sequence[str], prediction: Integers, messages: list[str]
) -> NDArray[np.float64] | None:
    """The probability of the predicted class, where every predicted class has a column."""
    without = [
        classes[code]
        for code in np.unique(prediction).tolist()
        if PROBABILITY + classes[code] not in rows
    ]
    if without or not len(rows):
        wanted = ", ".join(PROBABILITY + name for name in without)
        messages.append(f"no calibration: the predictions have no column {wanted or 'with rows'}")
        return None
    confidence = np.empty(len(rows))
    for code in np.unique(prediction).tolist():
        chosen = prediction == code
        column = rows[PROBABILITY + classes[code]].to_numpy(dtype=np.float64, na_value=np.nan)
        confidence[chosen] = column[chosen]
    # A softmax in single precision may exceed 1 in its last digit.
    wrong = ~((confidence >= -1e-6) & (confidence <= 1 + 1e-6))
    if wrong.any():
        raise DataError(
            f"a probability is {confidence[wrong][0]}",
            where=f"prob_ columns of {int(wrong.sum())} rows, first id {_first_id(rows, wrong)}",
            hint="probabilities lie between 0 and 1",
        )
    return confidence.clip(0, 1)


def _subjects(rows: pd.DataFrame) -> Integers | None:
    """The number of each row's subject, one of its own where none is known."""
    if "subject" not in rows:
        return None
    column = rows["subject"]
    known = (column.notna() & ~column.astype("str").isin(["", UNKNOWN])).to_numpy()
    names = [column.astype("str")] + ([rows["dataset"].astype("str")] if "dataset" in rows else [])
    number, _ = distinct(*(pd.factorize(name)[0].clip(0).astype(np.int64) for name in names))
    _, subject = np.unique(number[known], return_inverse=True)
    repeats = len(subject) > int(subject.max(initial=-1)) + 1
    if not repeats:
        return None
    numbers = np.empty(len(rows), dtype=np.int64)
    numbers[known] = subject
    numbers[~known] = int(subject.max()) + 1 + np.arange(int((~known).sum()))
    return numbers
