"""The reader of synthetic rows: from a face's number to its pixels, in any process and order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fer_lab.data.assets import Sample
from fer_lab.data.synthetic.anatomy import DRAWS, Face
from fer_lab.data.synthetic.appearance import Appearance
from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.people import draw
from fer_lab.data.synthetic.population import ACCESSORIES, Population
from fer_lab.data.synthetic.render import RENDERER_VERSION, render
from fer_lab.data.vocabulary import EXPRESSIONS, GENDERS, RACES, expression_classes
from fer_lab.errors import DataError

# Each split has its own numbers, so that more training faces leave the test faces as they are.
SPLIT_STARTS: Mapping[str, int] = {"train": 0, "val": 10_000_000, "test": 20_000_000}
LAST = 30_000_000

_BLOCK = 500  # faces drawn at once; divides SPLIT_STARTS
_BLOCKS_KEPT = 8


class SyntheticReader:
    """Draws the face that a path like ``synthetic#123`` stands for.

    Args:
        seed: seed of the whole dataset.
        classes: the expressions that occur, see ``vocabulary.expression_classes``.
        population: who is drawn in training and validation.
        test_population: who is drawn in the test split; None is the same.
        appearance: how pictures are taken.
    """

    def __init__(
        self,
        seed: int = 1,
        classes: int | Sequence[str] = 7,
        population: str | Population | Mapping[str, Any] | None = None,
        test_population: Population | None = None,
        appearance: Appearance | Mapping[str, Any] | None = None,
    ) -> None:
        self.seed = seed
        self.classes = expression_classes(classes)
        self.population = Population.of(population)
        self.test_population = test_population or self.population
        self.appearance = Appearance.of(appearance)
        self._blocks: dict[int, list[Face]] = {}

    def key(self) -> str:
        """A hash of the renderer's version and of every setting that changes pixels."""
        settings = {
            "renderer": RENDERER_VERSION,
            "seed": self.seed,
            "classes": self.classes,
            "population": self.population.settings(),
            "test_population": self.test_population.settings(),
            "appearance": self.appearance.settings(),
        }
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def population_at(self, number: int) -> Population:
        """The population that a face number belongs to."""
        return self.test_population if number >= SPLIT_STARTS["test"] else self.population

    def face(self, path: str) -> Face:
        """Who stands behind a path.

        Raises:
            DataError: for a path that is not ``<name>#<number>``.
        """
        number = path.rpartition("#")[2]
        if "#" not in path or not number.isdecimal() or int(number) >= LAST:
            raise DataError(
                f"{path!r} is not a synthetic face",
                where="column path",
                hint=f"`synthetic#<number>`, numbers from 0 to {LAST - 1}",
            )
        block, row = divmod(int(number), _BLOCK)
        return self._block(block)[row]

    def read(self, path: str, size: int) -> Sample:
        """The picture, mask and landmarks of a face.

        Raises:
            DataError: for a path that is not a synthetic face's.
            ConfigError: for a size that cannot be drawn.
        """
        return render(self.face(path), size, self.appearance)

    def read_counterfactual(self, path: str, size: int, **changes: Any) -> Sample:
        """The same face with some fields of :class:`Face` changed, all draws as they were.

        >>> reader = SyntheticReader()
        >>> with_glasses = reader.read_counterfactual("synthetic#5", 48, glasses=True)
        >>> bool((with_glasses.regions == 3).any())
        True
        """
        return render(replace(self.face(path), **changes), size, self.appearance)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_blocks": {}}

    def _block(self, block: int) -> list[Face]:
        """Neighbouring faces are drawn together, which costs little more than one."""
        if block not in self._blocks:
            if len(self._blocks) >= _BLOCKS_KEPT:
                self._blocks.clear()
            self._blocks[block] = self._draw(block)
        return self._blocks[block]

    def _draw(self, block: int) -> list[Face]:
        index = np.arange(block * _BLOCK, (block + 1) * _BLOCK)
        people = draw(self.population_at(int(index[0])), self.classes, self.seed, index)
        columns: dict[str, list[Any]] = {
            "age_years": people.age_years.tolist(),
            "expression": [EXPRESSIONS[code] for code in people.expression],
            "intensity": people.intensity.tolist(),
            "gender": [GENDERS[code] for code in people.groups["gender"]],
            "race": [RACES[code] for code in people.groups["race"]],
            **{name: people.accessories[name].tolist() for name in ACCESSORIES},
        }
        numbers = uniform(self.seed, index, DRAWS).tolist()
        columns["draws"] = [dict(zip(DRAWS, row, strict=True)) for row in numbers]
        return [
            Face(**dict(zip(columns, values, strict=True)))
            for values in zip(*columns.values(), strict=True)
        ]
