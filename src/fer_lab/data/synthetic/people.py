"""Drawing a population: one row a face, from (seed, face number) alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.population import (
    ACCESSORIES,
    DEMOGRAPHICS,
    Planted,
    Population,
    by_group,
    for_everyone,
    values_of,
)
from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.errors import ConfigError

# First and last year of each age group.
AGE_YEARS = ((1.0, 15.0), (16.0, 32.0), (33.0, 53.0), (54.0, 84.0))

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class People:
    """Columns of equal length, one entry a face.

    Attributes:
        groups: position in ``DEMOGRAPHICS[attribute]``, by attribute.
        age_years: whole years, inside the age group.
        expression: position in ``EXPRESSIONS`` of what the face shows.
        label: position in ``EXPRESSIONS`` of what an annotator wrote down.
        intensity: in [0, 1], 0 for neutral.
        accessories: whether each one is worn.
    """

    groups: dict[str, Codes]
    age_years: NDArray[np.float32]
    expression: Codes
    label: Codes
    intensity: NDArray[np.float32]
    accessories: dict[str, NDArray[np.bool_]]


def draw(
    population: Population, classes: Sequence[str], seed: int, index: NDArray[np.int64]
) -> People:
    """Draw the faces with these numbers.

    Args:
        population: who is drawn.
        classes: the expressions that occur.
        seed: seed of the whole dataset.
        index: face numbers, shape ``[N]``; each row depends on its own number only.

    Raises:
        ConfigError: when the weights leave some group without any expression.
    """
    names = [*DEMOGRAPHICS, "years", "expression", "noise", "noise_to", "intensity", *ACCESSORIES]
    planted = [f"planted {rule.attribute}" for rule in population.planted]
    others = [f"{name} other" for name in planted]
    columns = uniform(seed, index, [*names, *planted, *others])
    u = dict(zip([*names, *planted, *others], columns.T, strict=True))

    groups = {
        name: _choose(_table(population.shares[name], values), u[name])
        for name, values in DEMOGRAPHICS.items()
    }
    codes = np.array([EXPRESSIONS.index(name) for name in classes])
    cumulative = _expression_table(population, classes)
    which = cumulative[tuple(groups[name] for name in DEMOGRAPHICS)]
    chosen = (u["expression"][:, None] >= which[:, :-1]).sum(axis=1)
    rate = np.full(len(index), float(for_everyone(population.label_noise, 0.0)))
    for name in DEMOGRAPHICS:
        noise = np.array(list(by_group(population.label_noise, name, 0.0).values()), dtype=float)
        rate = np.maximum(rate, noise[groups[name]])
    step = 1 + (u["noise_to"] * (len(classes) - 1)).astype(np.int64)
    observed = np.where(u["noise"] < rate, (chosen + step) % len(classes), chosen)
    expression, label = codes[chosen], codes[observed]

    worn = {name: u[name] < _accessory_share(population, name, groups) for name in ACCESSORIES}
    for rule in population.planted:
        _plant(rule, population, label, groups, worn, u)

    low, high = population.intensity
    intensity = low + (high - low) * u["intensity"] ** population.intensity_power
    intensity = intensity * float(for_everyone(population.expressivity, 1.0))
    for name in DEMOGRAPHICS:
        factor = np.array(list(by_group(population.expressivity, name, 1.0).values()), dtype=float)
        intensity = intensity * factor[groups[name]]
    intensity = np.where(expression == EXPRESSIONS.index("neutral"), 0, np.minimum(intensity, 1))

    first, last = np.array(AGE_YEARS)[groups["age"]].T
    years = np.minimum(np.floor(first + u["years"] * (last - first + 1)), last)
    return People(
        groups=groups,
        age_years=years.astype(np.float32),
        expression=expression,
        label=label,
        intensity=intensity.astype(np.float32),
        accessories=worn,
    )


def _table(weights: Mapping[str, float], values: Sequence[str]) -> NDArray[np.float64]:
    """Cumulative shares in the order of ``values``."""
    share = np.array([weights.get(value) or 0.0 for value in values], dtype=float)
    cumulative: NDArray[np.float64] = np.cumsum(share / share.sum())
    return cumulative


def _choose(cumulative: NDArray[np.float64], u: NDArray[np.float64]) -> Codes:
    # Rounding may leave the last sum below 1, and a group of share 0 must stay out.
    last = int(np.flatnonzero(np.diff(cumulative, prepend=0.0) > 0)[-1])
    return np.minimum(np.searchsorted(cumulative, u, side="right"), last).astype(np.int64)


def _expression_table(population: Population, classes: Sequence[str]) -> NDArray[np.float64]:
    """Cumulative expression shares, shape ``[gender, age, race, len(classes)]``."""

    def weights(table: Any) -> NDArray[np.float64]:
        return np.array([float((table or {}).get(name, 1.0)) for name in classes])

    product = weights(population.expressions.get("all"))
    for axis, name in enumerate(DEMOGRAPHICS):
        tables = by_group(population.expressions, name, None)
        rows = np.array([weights(table) for table in tables.values()])
        shape = [1, 1, 1, len(classes)]
        shape[axis] = len(rows)
        product = product * rows.reshape(shape)
    total = product.sum(axis=-1, keepdims=True)
    drawn = np.ix_(*(_drawn(population, name) for name in DEMOGRAPHICS))
    if (total[drawn] <= 0).any():
        raise ConfigError(
            "the expression weights leave a group without any expression",
            where="population.expressions",
            hint=f"give each group one of {', '.join(classes)} with a weight above 0",
        )
    cumulative: NDArray[np.float64] = np.cumsum(product / np.where(total > 0, total, 1), axis=-1)
    return cumulative


def _drawn(population: Population, name: str) -> list[int]:
    shares = population.shares[name]
    return [code for code, group in enumerate(DEMOGRAPHICS[name]) if shares.get(group)]


def _accessory_share(
    population: Population, accessory: str, groups: Mapping[str, Codes]
) -> NDArray[np.float64]:
    rule = population.accessories.get(accessory, 0.0)
    share = np.full(len(groups["gender"]), float(for_everyone(rule, 0.0)))
    for name in DEMOGRAPHICS:
        entries = by_group(rule, name, np.nan)
        by_code = np.array(list(entries.values()), dtype=float)[groups[name]]
        share = np.where(np.isnan(by_code), share, by_code)
    return share


def _plant(
    rule: Planted,
    population: Population,
    label: Codes,
    groups: dict[str, Codes],
    worn: dict[str, NDArray[np.bool_]],
    u: Mapping[str, NDArray[np.float64]],
) -> None:
    """Draw the rule's attribute again, in place, so that it agrees with the target."""
    if rule.target == "label":
        holds = label == EXPRESSIONS.index(rule.equals)
    elif rule.target in DEMOGRAPHICS:
        holds = groups[rule.target] == DEMOGRAPHICS[rule.target].index(rule.equals)
    else:
        holds = worn[rule.target] == (rule.equals == "yes")
    agrees = u[f"planted {rule.attribute}"] < rule.strength
    has_value = holds == agrees
    if rule.attribute in ACCESSORIES:
        worn[rule.attribute] = has_value == (rule.value == "yes")
        return
    values = values_of(rule.attribute)
    shares = {**population.shares[rule.attribute], rule.value: 0.0}
    if sum(shares.values()) <= 0:
        shares = {value: float(value != rule.value) for value in values}
    other = _choose(_table(shares, values), u[f"planted {rule.attribute} other"])
    groups[rule.attribute] = np.where(has_value, values.index(rule.value), other)
