"""The options of ``split`` and ``test_split``: checked as soon as they are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from fer_lab.data.splitting.draws import Unit, refuse_no_share
from fer_lab.data.vocabulary import GENDERS
from fer_lab.errors import ConfigError, near_miss

_MATCHED: Mapping[str, Any] = {"balance": ("gender", "label"), "match": "gender"}
_NAMED: Mapping[str, Mapping[str, Any]] = {
    "mixed": {},
    "mixed_matched": _MATCHED,
    **{gender: {"where": {"gender": [gender]}} for gender in GENDERS},
}

# These divide the whole data and are therefore said once, in `split`.
_OF_THE_WHOLE = ("val_fraction", "test_fraction", "by", "folds", "fold", "leave_out")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Whom a model learns from, or is tested on.

    Attributes:
        name: of the option, used in messages and in a run's name.
        where: wanted values by attribute; None takes any.
        val_fraction: share of the training rows drawn for validation where a dataset has none.
        test_fraction: share of the training rows drawn for testing where a dataset has no
            published test rows.
        by: ``subject`` draws whole subjects, and whole scenes (photographs of several faces),
            where they are known; ``image`` draws images, and frames of one person then stand on
            both sides.
        folds: number of folds of a cross-validation, or None. Folds replace published splits.
        fold: the fold tested on.
        leave_out: the dataset tested on, of which nothing is learnt; None for none.
        balance: attributes (``label`` among them) of which every combination gets equally many
            rows; None takes all rows.
        match: one of ``balance``: the draw has the size of a single group of it.
        seed: of all draws and of the images explained.
    """

    name: str = "mixed"
    where: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    by: Unit = "subject"
    folds: int | None = None
    fold: int = 0
    leave_out: str | None = None
    balance: Sequence[str] | None = None
    match: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.by not in get_args(Unit):
            raise ConfigError(
                f"rows are not drawn by {self.by!r}", where="split.by", hint="use subject or image"
            )
        if not isinstance(self.where, Mapping):
            raise ConfigError(
                f"where={self.where!r} names no attribute",
                where="split.where",
                hint="use split.where.gender=[female]",
            )
        for name in ("fold", "folds", "seed"):
            value = getattr(self, name)
            optional = value is None and name == "folds"
            if not optional and (isinstance(value, bool) or not isinstance(value, int)):
                raise ConfigError(f"{name}={value!r} is no whole number", where=f"split.{name}")
        for name in ("val_fraction", "test_fraction"):
            refuse_no_share(name, getattr(self, name))
        if self.folds is not None and self.folds < 2:
            raise ConfigError(
                f"{self.folds} folds cannot be crossed", where="split.folds", hint="use 2 or more"
            )
        if not 0 <= self.fold < (self.folds or 1):
            raise ConfigError(
                f"there is no fold {self.fold}",
                where=f"split.fold={self.fold} split.folds={self.folds}",
                hint="set split.folds, too"
                if self.folds is None
                else f"folds are 0 to {self.folds - 1}",
            )
        if self.folds is not None and self.leave_out is not None:
            raise ConfigError(
                "folds and a dataset left out are two ways to choose the test rows",
                where=f"split.folds={self.folds} split.leave_out={self.leave_out}",
                hint="set one of them to null",
            )
        if self.balance is not None and (isinstance(self.balance, str) or not self.balance):
            raise ConfigError(
                f"balance={self.balance!r} names no combinations",
                where="split.balance",
                hint="use a list such as [gender,label], or null",
            )
        if self.match is not None and self.match not in (self.balance or ()):
            raise ConfigError(
                f"match={self.match} is not among the balanced attributes",
                where=f"split.match={self.match} split.balance={self.balance}",
                hint=f"split.balance=[{self.match},label]",
            )

    @classmethod
    def of(cls, value: Split | str | Mapping[str, Any], option: str = "split") -> Split:
        """A split from ``mixed``, ``mixed_matched``, a gender, its options, or itself.

        Raises:
            ConfigError: for another name, an unknown option, or options that do not go together.
        """
        if isinstance(value, Split):
            return value
        if isinstance(value, str):
            if value not in _NAMED:
                raise ConfigError(
                    f"no split {value!r}",
                    where=option,
                    hint=f"use {', '.join(_NAMED)}, or "
                    '{"name": "black", "where": {"race": ["black"]}}',
                )
            return cls(name=value, **_NAMED[value])
        known = [each.name for each in fields(cls)]
        for name in value:
            if name not in known:
                near = near_miss(str(name), known)
                raise ConfigError(
                    f"a split has no option {name!r}"
                    + (f"; did you mean {near!r}?" if near else ""),
                    where=option,
                    hint=f"options: {', '.join(known)}",
                )
        options = {"name": "custom", **value}
        options["where"] = options.get("where") or {}
        split = cls(**options)
        if option != "split":
            split._refuse_division(option)
        return split

    def __str__(self) -> str:
        wanted = {name: values for name, values in self.where.items() if values is not None}
        return ", ".join(f"{name}={values}" for name, values in wanted.items()) or "any row"

    def _refuse_division(self, option: str) -> None:
        """Options that divide the whole data have no meaning in the filter of the test."""
        for each in fields(self):
            if each.name in _OF_THE_WHOLE and getattr(self, each.name) != each.default:
                raise ConfigError(
                    f"{each.name} divides the whole data, not the test rows",
                    where=f"{option}.{each.name}",
                    hint=f"set split.{each.name}",
                )
