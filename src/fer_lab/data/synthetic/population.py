"""Settings of who is drawn and with which bias, checked where they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fer_lab.data.synthetic.checks import number, pair, refuse_unknown
from fer_lab.data.vocabulary import AGE_GROUPS, EXPRESSIONS, GENDERS, RACES
from fer_lab.errors import ConfigError

DEMOGRAPHICS: Mapping[str, tuple[str, ...]] = {
    "gender": GENDERS,
    "age": AGE_GROUPS,
    "race": RACES,
}
ACCESSORIES = ("glasses", "hat", "earrings", "necklace", "lipstick", "blond")

_HEAVIEST = 1e9  # weights are relative; an infinite one has no share

# A number for everyone, or numbers by group: {all: 0.02, race: {black: 0.05}}.
ByGroup = Mapping[str, Any]


@dataclass(frozen=True)
class Planted:
    """A shortcut: an attribute that agrees with a target more often than by chance.

    Where the target holds, the attribute has ``value`` with probability ``strength``; where it
    does not hold, with probability 1 − ``strength``. At 0.5 a yes/no attribute and the target
    are independent.

    Attributes:
        attribute: an accessory, or ``gender``, ``age``, ``race``.
        value: ``yes`` or ``no`` for an accessory, a group for a demographic attribute.
        target: ``label`` (what is observed, with its noise) or another attribute.
        equals: the target's value: an expression, a group, ``yes`` or ``no``.
        strength: probability of agreement, in [0, 1].
    """

    attribute: str
    value: str
    target: str
    equals: str
    strength: float = 0.99


@dataclass(frozen=True)
class Population:
    """Who is drawn. The defaults are mildly biased; :meth:`named` gives ``fair`` as well.

    Attributes:
        shares: weight of each group, by attribute; a group left out is not drawn.
        expressions: weight of each expression for ``all`` and by group, multiplied; a missing
            one is 1.
        expressivity: factor on the intensity by group, in [0, 2], multiplied over attributes.
        label_noise: share of labels that are replaced by another expression, for ``all`` and by
            group; the largest that applies to a face counts.
        accessories: share that wears each one, for ``all`` and by gender, age or race (the
            last group that applies counts).
        intensity: lowest and highest intensity before expressivity, in (0, 1].
        intensity_power: exponent on the uniform draw between the two: below 1 strong
            expressions are more frequent, above 1 weak ones.
        planted: shortcuts, applied in order after the label is drawn.
    """

    shares: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            "gender": {"female": 0.5, "male": 0.5},
            "age": {"0-15": 0.15, "16-32": 0.4, "33-53": 0.3, "54+": 0.15},
            "race": {
                "white": 0.35,
                "black": 0.15,
                "asian": 0.15,
                "indian": 0.12,
                "latinx": 0.13,
                "middle_eastern": 0.1,
            },
        }
    )
    expressions: ByGroup = field(
        default_factory=lambda: {
            "gender": {"female": {"happy": 1.4}, "male": {"anger": 1.5}},
            "age": {"0-15": {"happy": 1.3, "surprise": 1.3}},
        }
    )
    expressivity: ByGroup = field(
        default_factory=lambda: {"gender": {"male": 0.88}, "age": {"54+": 0.85}}
    )
    label_noise: ByGroup = field(default_factory=lambda: {"all": 0.01, "race": {"black": 0.04}})
    accessories: Mapping[str, Any] = field(
        default_factory=lambda: {
            "glasses": {"all": 0.2, "age": {"54+": 0.4}},
            "hat": 0.1,
            "earrings": {"all": 0.05, "gender": {"female": 0.45}, "age": {"0-15": 0.05}},
            "necklace": {"all": 0.06, "gender": {"female": 0.35}, "age": {"0-15": 0.05}},
            "lipstick": {"all": 0.01, "gender": {"female": 0.4}, "age": {"0-15": 0.0}},
            "blond": {"all": 0.04, "race": {"white": 0.3, "latinx": 0.1}},
        }
    )
    intensity: Sequence[float] = (0.4, 1.0)
    intensity_power: float = 0.8
    planted: Sequence[Planted] = ()

    @classmethod
    def named(cls, name: str) -> Population:
        """The populations that ``conf/population`` offers: ``biased`` and ``fair``.

        Raises:
            ConfigError: for another name.
        """
        if name == "biased":
            return cls()
        if name != "fair":
            raise ConfigError(
                f"no population {name!r}", where="population", hint="use biased, fair or a mapping"
            )
        return cls(
            shares={name: dict.fromkeys(groups, 1.0) for name, groups in DEMOGRAPHICS.items()},
            expressions={},
            expressivity={},
            label_noise={"all": 0.01},
            accessories=dict.fromkeys(ACCESSORIES, 0.2),
        )

    @classmethod
    def of(cls, settings: str | Population | Mapping[str, Any] | None) -> Population:
        """A population from a name, a mapping of the fields to change, or itself.

        Raises:
            ConfigError: for an unknown field, group or expression, and for numbers that cannot
                be what they stand for.
        """
        if settings is None or isinstance(settings, str):
            return cls.named(settings or "biased")
        population = settings if isinstance(settings, Population) else cls().changed(settings)
        _check(population)
        return population

    def changed(self, settings: Mapping[str, Any]) -> Population:
        """This population with fields replaced.

        Of ``shares`` and ``accessories`` only the attributes given are replaced; an entry that
        is None counts as not given.

        Raises:
            ConfigError: as :meth:`of`.
        """
        refuse_unknown(settings, [each.name for each in fields(self)], "population")
        values = {name: value for name, value in settings.items() if value is not None}
        if "planted" in values:
            values["planted"] = _rules(values["planted"])
        for name in ("expressions", "expressivity", "label_noise", "accessories"):
            if name in values:
                values[name] = _without_none(values[name])
        shares = values.get("shares", {})
        refuse_unknown(shares, list(DEMOGRAPHICS), "population.shares")
        values["shares"] = {**self.shares, **{name: _without_none(shares[name]) for name in shares}}
        accessories = values.get("accessories", {})
        refuse_unknown(accessories, ACCESSORIES, "population.accessories")
        values["accessories"] = {**self.accessories, **accessories}
        population = replace(self, **values)
        _check(population)
        return population

    def settings(self) -> dict[str, Any]:
        """Every field as plain containers, for hashing and records."""
        return {**asdict(self), "intensity": list(self.intensity)}


def by_group(rule: Any, attribute: str, default: Any) -> dict[str, Any]:
    """The entries of one attribute in a :data:`ByGroup` value, ``default`` where there is none."""
    entries = rule.get(attribute) or {} if isinstance(rule, Mapping) else {}
    return {group: entries.get(group, default) for group in DEMOGRAPHICS[attribute]}


def for_everyone(rule: Any, default: Any) -> Any:
    """The entry for ``all``; a bare number is one for everyone."""
    if not isinstance(rule, Mapping):
        return rule
    entry = rule.get("all")
    return default if entry is None else entry


def values_of(attribute: str) -> tuple[str, ...]:
    """What an attribute can be: its groups, or no and yes."""
    return DEMOGRAPHICS.get(attribute, ("no", "yes"))


def _rules(rules: Any) -> tuple[Planted, ...]:
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        raise ConfigError(f"{rules!r} is not a list of rules", where="population.planted")
    return tuple(map(_planted, rules))


def _planted(rule: Planted | Mapping[str, Any]) -> Planted:
    if isinstance(rule, Planted):
        return rule
    names = {"attribute", "value", "with", "equals", "strength"}
    where = "population.planted"
    refuse_unknown(rule, sorted(names), where)
    missing = sorted(names - set(rule) - {"strength"})
    if missing:
        raise ConfigError(
            f"a planted rule lacks {', '.join(missing)}",
            where=where,
            hint="{attribute: glasses, value: yes, with: label, equals: happy, strength: 0.99}",
        )
    return Planted(
        attribute=str(rule["attribute"]),
        value=_yes_or_no(rule["value"]),
        target=str(rule["with"]),
        equals=_yes_or_no(rule["equals"]),
        strength=rule.get("strength", 0.99),
    )


def _without_none(rule: Any) -> Any:
    """Entries that are set, whatever their depth: options list every group, most as null."""
    if not isinstance(rule, Mapping):
        return rule
    kept = {name: _without_none(entry) for name, entry in rule.items()}
    return {name: entry for name, entry in kept.items() if entry is not None and entry != {}}


def _yes_or_no(value: Any) -> str:
    """YAML reads a bare ``yes`` as true."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _check(population: Population) -> None:
    where = "population"
    refuse_unknown(population.shares, list(DEMOGRAPHICS), f"{where}.shares")
    for attribute, groups in DEMOGRAPHICS.items():
        place = f"{where}.shares.{attribute}"
        shares = population.shares.get(attribute) or {}
        refuse_unknown(shares, groups, place)
        for group, share in shares.items():
            number(share, f"{place}.{group}", 0, _HEAVIEST)
        if sum(shares.values()) <= 0:
            raise ConfigError("no group is drawn", where=place, hint="give one a share above 0")
    _check_by_group(population.expressivity, f"{where}.expressivity", 0, 2)
    _check_by_group(population.label_noise, f"{where}.label_noise", 0, 1)
    refuse_unknown(population.accessories, ACCESSORIES, f"{where}.accessories")
    for name, share in population.accessories.items():
        _check_by_group(share, f"{where}.accessories.{name}", 0, 1)
    _check_expressions(population.expressions, f"{where}.expressions")
    low, high = pair(population.intensity, f"{where}.intensity")
    if not 0 < low <= high <= 1:
        raise ConfigError(
            f"intensity {low} to {high}", where=where, hint="0 < lowest <= highest <= 1"
        )
    number(population.intensity_power, f"{where}.intensity_power", 0.05, 20)
    _check_planted(population.planted)


def _check_by_group(rule: Any, where: str, low: float, high: float) -> None:
    if not isinstance(rule, Mapping):
        number(rule, where, low, high)
        return
    refuse_unknown(rule, ["all", *DEMOGRAPHICS], where)
    for attribute, entries in rule.items():
        if attribute == "all":
            number(entries, f"{where}.all", low, high)
            continue
        refuse_unknown(entries or {}, DEMOGRAPHICS[attribute], f"{where}.{attribute}")
        for group, value in (entries or {}).items():
            number(value, f"{where}.{attribute}.{group}", low, high)


def _check_expressions(rule: ByGroup, where: str) -> None:
    refuse_unknown(rule, ["all", *DEMOGRAPHICS], where)
    tables = {f"{where}.all": rule.get("all") or {}}
    for attribute, groups in DEMOGRAPHICS.items():
        entries = rule.get(attribute) or {}
        refuse_unknown(entries, groups, f"{where}.{attribute}")
        tables |= {f"{where}.{attribute}.{group}": table for group, table in entries.items()}
    for place, table in tables.items():
        refuse_unknown(table, EXPRESSIONS, place)
        for name, weight in table.items():
            number(weight, f"{place}.{name}", 0, _HEAVIEST)


def _check_planted(rules: Sequence[Planted]) -> None:
    where = "population.planted"
    known = [*DEMOGRAPHICS, *ACCESSORIES]
    for rule in rules:
        refuse_unknown({rule.attribute: None}, known, where)
        refuse_unknown({rule.value: None}, values_of(rule.attribute), f"{where} {rule.attribute}")
        refuse_unknown({rule.target: None}, ["label", *known], f"{where} with")
        targets = EXPRESSIONS if rule.target == "label" else values_of(rule.target)
        refuse_unknown({rule.equals: None}, targets, f"{where} {rule.target}")
        number(rule.strength, f"{where} strength", 0, 1)
    order = [rule.attribute for rule in rules]
    for place, rule in enumerate(rules):
        if rule.attribute in order[:place] or rule.target in order[place:]:
            raise ConfigError(
                f"the rule for {rule.attribute} (with {rule.target}) would be undone by another",
                where=where,
                hint="one rule an attribute; a rule that is a target of another stands before it",
            )
