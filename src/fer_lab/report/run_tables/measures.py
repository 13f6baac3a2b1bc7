"""The figures of a run by name, as the columns of a table ask for them, and which way is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fer_lab.report.run import Facts, Run
from fer_lab.report.tables import METRIC_TITLES, chance
from fer_lab.report.wording import is_number, name, split_title

_SPLITS = ("train", "val", "test")
_TITLES = {
    "accuracy": "Accuracy",
    "mean_class_accuracy": "Mean class accuracy",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "chance": "By chance",
    "worst_group_accuracy": "Worst group accuracy",
    "loss": "Loss",
    "fairness/bias": "Bias score",
    "bias": "bias score",
    "dpd": "DPD",
    "eod": "EOD",
    "seconds": "Seconds",
    "images_per_second": "Images per second",
}
# Figures that are no shares, and so never percentages.
_AMOUNTS = ("loss", "loss_step", "seconds", "images_per_second", "undefined", "collapsed")
_OF_THE_RUN = ("seconds", "images_per_second")


@dataclass(frozen=True)
class Measured:
    """A figure with its interval; None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measure:
    """A figure's name: a split and what is measured there, ``val/accuracy``; ``test`` by default.

    Attributes:
        split: ``train``, ``val`` or ``test``; None for figures of the run itself.
        what: the figure's name without the split.
    """

    split: str | None
    what: str

    @classmethod
    def of(cls, text: str) -> Measure:
        """The measure that a column's name stands for.

        >>> Measure.of("fairness/bias"), Measure.of("val/accuracy")
        (Measure(split='test', what='fairness/bias'), Measure(split='val', what='accuracy'))
        """
        first, _, rest = text.partition("/")
        if rest and first in _SPLITS:
            return cls(first, rest)
        return cls(None if text in _OF_THE_RUN else "test", text)

    def __str__(self) -> str:
        return self.what if self.split is None else f"{self.split}/{self.what}"

    @property
    def better(self) -> Literal["high", "low"] | None:
        """Whether high or low values are better; None where that is not known."""
        parts = self.what.split("/")
        if "accuracy" in parts[-1] or parts[0] in ("accuracy", "precision", "recall", "f1"):
            return "high"
        if parts[-1] in ("f1_macro", "f1_weighted", "images_per_second"):
            return "high"
        if parts[-1] in _AMOUNTS:
            return "low" if parts[-1] in ("loss", "seconds") else None
        return "low" if parts[0] == "fairness" else None

    @property
    def is_share(self) -> bool:
        """Whether the figure lies between 0 and 1."""
        return self.what.rpartition("/")[2] not in _AMOUNTS

    def title(self, *, with_split: bool = False) -> str:
        """The figure's name for people.

        >>> Measure.of("fairness/gender/equalized_odds").title()
        'Equalized odds, gender'
        >>> Measure.of("val/accuracy").title(with_split=True)
        'Validation accuracy'
        """
        title = _title(self.what)
        if not with_split or self.split is None:
            return title
        lead = {"train": "Training"}.get(self.split) or split_title(self.split)
        return f"{lead} {title[0].lower() if title[1:2].islower() else title[0]}{title[1:]}"


def measured(run: Run, measure: Measure) -> Measured | None:
    """A figure of a run; None where the run does not have it or it is undefined.

    Raises:
        DataError: when a file that the figure stands in is damaged.
    """
    return figures(run, measure.split).get(measure.what)


def figures(run: Run, split: str | None) -> dict[str, Measured | None]:
    """Every figure that a run has on a split, by name; None where it is undefined.

    Those of ``metrics/<split>.json`` carry intervals; what else was logged does not.

    Args:
        run: the run.
        split: ``train``, ``val`` or ``test``; None for figures of the run itself.
    """
    record = run.record
    if split is None:
        amounts = {
            "seconds": (record.get("durations") or {}).get("total"),
            "images_per_second": record.get("images_per_second"),
        }
        return {what: Measured(value) for what, value in amounts.items() if is_number(value)}
    found: dict[str, Measured | None] = {
        logged.removeprefix(f"{split}/"): Measured(value)
        for logged, value in (record.get("summary") or {}).items()
        if logged.startswith(f"{split}/") and is_number(value)
    }
    if (run.path / "metrics" / f"{split}.json").is_file():
        for what, facts in _of_document(run.metrics_of(split)):
            defined = is_number(facts.get("value"))
            found[what] = (
                Measured(facts["value"], facts.get("low"), facts.get("high")) if defined else None
            )
    return found


def answered_in_part(run: Run) -> bool:
    """Whether a run's figures are of a part of the faces: a model that was asked left some out."""
    outcomes = (run.record.get("asked") or {}).get("outcomes") or {}
    return any(count for outcome, count in outcomes.items() if outcome != "answered")


def _of_document(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and figures of ``metrics/<split>.json``, as they are named when they are logged."""
    for what in ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted"):
        yield what, facts[what]
    yield "chance", {"value": chance(facts["confusion"])}
    yield "collapsed", {"value": int(facts["collapsed"])}
    yield "fairness/bias", facts["bias"]
    yield "worst_group_accuracy", {"value": (facts["worst_group"] or {}).get("accuracy")}
    for label, row in facts["per_class"].items():
        for what in ("precision", "recall", "f1"):
            yield f"{what}/{label}", {"value": row[what]}
    for attribute, part in facts["attributes"].items():
        place = f"fairness/{attribute}"
        yield f"{place}/bias", part["bias"]
        worst = {"value": part["worst_group"]["accuracy"]}
        yield f"{place}/worst_group_accuracy", worst
        for metric, gap in {**part["metrics"], "dpd": part["dpd"], "eod": part["eod"]}.items():
            yield f"{place}/{metric}", gap
            for label, value in gap["per_expression"].items():
                yield f"{place}/{metric}/{label}", {"value": value}
        for group, row in part["groups"].items():
            yield f"accuracy/{attribute}/{group}", row["accuracy"]


def _title(what: str) -> str:
    if what in _TITLES:
        return _TITLES[what]
    first, *rest = what.split("/")
    if first == "fairness" and len(rest) > 1:
        metric = METRIC_TITLES.get(rest[1]) or _TITLES.get(rest[1]) or name(rest[1])
        return ", ".join([metric[0].upper() + metric[1:], *map(name, (rest[0], *rest[2:]))])
    return ", ".join([_TITLES.get(first, name(first).capitalize()), *map(name, rest)])
