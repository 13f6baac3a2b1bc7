"""Synthetic faces as a manifest: the rows are drawn here, the pixels when they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Assets
from fer_lab.data.schema import SPLITS, validate
from fer_lab.data.synthetic.anatomy import UNITS, action_units, unit_draws
from fer_lab.data.synthetic.appearance import Appearance
from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.people import People, draw
from fer_lab.data.synthetic.population import ACCESSORIES, DEMOGRAPHICS, Population
from fer_lab.data.synthetic.reader import LAST, SPLIT_STARTS, SyntheticReader
from fer_lab.data.vocabulary import EXPRESSIONS, UNKNOWN
from fer_lab.errors import ConfigError

Numbers = NDArray[np.int64]


def read(
    root: str | os.PathLike[str] | None = None,
    *,
    train: int = 6000,
    val: int = 1000,
    test: int = 2000,
    seed: int = 1,
    classes: int | Sequence[str] = 7,
    population: str | Population | Mapping[str, Any] | None = None,
    test_population: Mapping[str, Any] | None = None,
    appearance: Mapping[str, Any] | None = None,
    difference: float = 1.0,
    dataset: str = "synthetic",
) -> pd.DataFrame:
    """Draw a population of faces; nothing is read from disk.

    Every row depends on ``seed`` and its own number only: other counts leave it as it is.
    Beside the manifest's columns there are ``true_label`` (what the face shows; ``label`` is
    what was written down), ``intensity``, ``au_<n>``, ``age_years`` and the accessories.

    Args:
        root: ignored; every source takes it.
        train: number of training faces; ``val`` and ``test`` likewise.
        val: validation faces.
        test: test faces.
        seed: seed of the dataset.
        classes: 6, 7, 8 or names of expressions.
        population: ``biased`` (default), ``fair``, or the fields to change, see
            :class:`~fer_lab.data.synthetic.population.Population`.
        test_population: fields that are different in the test split, for example
            ``{"planted": []}``; None is the same population.
        appearance: ranges of light, blur, noise, framing, pose and background to change.
        difference: how much of ``appearance`` is applied: 1 (or true) all of it, 0 (or false)
            nothing, so that datasets of several appearances are draws of one.
        dataset: name in the column ``dataset`` and in every id.

    Raises:
        ConfigError: for settings that cannot work.
    """
    del root
    counts = {"train": train, "val": val, "test": test}
    _check_counts(counts)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed={seed!r} is not a whole number", where="dataset.seed")
    settings = Population.of(population)
    reader = SyntheticReader(
        seed=seed,
        classes=classes,
        population=settings,
        test_population=settings.changed(test_population) if test_population else None,
        appearance=Appearance.of(appearance).weakened(
            float(difference) if isinstance(difference, bool) else difference
        ),
    )
    parts = []
    for split in SPLITS:
        index = np.arange(counts[split], dtype=np.int64) + SPLIT_STARTS[split]
        if len(index):
            people = draw(reader.population_at(int(index[0])), reader.classes, seed, index)
            parts.append(_table(people, index, seed, split, dataset))
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs["assets"] = Assets(readers={dataset: reader})
    return validate(frame)


def _check_counts(counts: Mapping[str, int]) -> None:
    most = LAST - SPLIT_STARTS["test"]
    for split, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= most:
            raise ConfigError(
                f"{count!r} is not a number of faces",
                where=f"dataset.{split}",
                hint=f"a whole number from 0 to {most}",
            )
    if not any(counts.values()):
        raise ConfigError(
            "no face is asked for",
            where="dataset.train, dataset.val and dataset.test",
            hint="give at least one of them a number above 0",
        )


def _table(
    people: People, index: NDArray[np.int64], seed: int, split: str, dataset: str
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "id": [f"{dataset}/{number:06d}" for number in index.tolist()],
        "dataset": _named(np.zeros(len(index), np.int64), (dataset,)),
        "path": [f"synthetic#{number}" for number in index.tolist()],
        "label": _named(people.label, EXPRESSIONS).astype("str"),
        "split": _named(np.full(len(index), SPLITS.index(split), np.int64), SPLITS),
    }
    for name, groups in DEMOGRAPHICS.items():
        columns[name] = _named(people.groups[name], (*groups, UNKNOWN))
        columns[f"{name}_source"] = "synthetic"
    columns["age_years"] = people.age_years
    columns["true_label"] = _named(people.expression, EXPRESSIONS)
    columns["intensity"] = people.intensity
    activation = action_units(
        people.expression, people.intensity, uniform(seed, index, unit_draws())
    ).max(axis=2)
    for place, unit in enumerate(UNITS):
        columns[f"au_{unit}"] = activation[:, place].astype(np.float32)
    for name in ACCESSORIES:
        columns[f"attribute_{name}"] = _named(
            people.accessories[name].astype(np.int64), ("no", "yes", UNKNOWN)
        )
    return pd.DataFrame(columns)


def _named(codes: Numbers, names: Sequence[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names), dtype="str"))
