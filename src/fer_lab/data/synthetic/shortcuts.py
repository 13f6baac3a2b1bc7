"""The planted cases by name: ``gender-glasses``, ``age-hat-lipstick``; who is drawn, what is told.

Source: FaceX, evaluation on planted shortcuts (the attributes and targets; the classes tied to
them are chosen here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fer_lab.data.synthetic.anatomy import Face
from fer_lab.data.synthetic.population import ACCESSORIES
from fer_lab.errors import ConfigError, near_miss

# Of each target the class that attributes are tied to, and the other one.
TARGETS: Mapping[str, tuple[str, str]] = {
    "gender": ("female", "male"),
    "age": ("33-53", "54+"),
}
# What is planted alone and, each beside the hat, in pairs. Smiling is the expression.
SINGLE = ("blond", "glasses", "smiling", "earrings", "lipstick", "necklace")
PAIRED = "hat"
ATTRIBUTES = (*SINGLE, PAIRED)


@dataclass(frozen=True)
class Case:
    """A shortcut that a model is tempted to take.

    Attributes:
        target: what is told apart, ``gender`` or ``age``.
        attributes: one of ``SINGLE``, or the hat and one of them.
    """

    target: str
    attributes: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return "-".join((self.target, *self.attributes))

    @property
    def classes(self) -> tuple[str, str]:
        """The two groups told apart, the one that the attributes are tied to first."""
        return TARGETS[self.target]

    def rules(self, strength: float) -> list[dict[str, Any]]:
        """Rules for :class:`~fer_lab.data.synthetic.population.Population`.

        Args:
            strength: share of faces in which target and attribute agree; at 0.5 they are
                independent.
        """
        tied = self.classes[0]
        smiling = {"attribute": self.target, "value": tied, "with": "label", "equals": "happy"}
        # Who is drawn follows the expression, and what is worn follows who is drawn.
        rules = [smiling] if "smiling" in self.attributes else []
        rules += [
            {"attribute": name, "value": "yes", "with": self.target, "equals": tied}
            for name in self.attributes
            if name in ACCESSORIES
        ]
        return [{**rule, "strength": float(strength)} for rule in rules]


CASES: Mapping[str, Case] = {
    case.name: case
    for pair in ((), (PAIRED,))
    for target in TARGETS
    for case in (Case(target, (*pair, name)) for name in SINGLE)
}


def case_of(name: str) -> Case:
    """The case of this name.

    Raises:
        ConfigError: if there is none.

    >>> case_of("age-hat-lipstick").classes
    ('33-53', '54+')
    """
    if name not in CASES:
        near = near_miss(str(name), CASES)
        raise ConfigError(
            f"there is no planted case {name!r}" + (f"; did you mean {near!r}?" if near else ""),
            where="planted.case",
            hint=f"{'|'.join(TARGETS)}-[{PAIRED}-]{'|'.join(SINGLE)}, as in gender-glasses and "
            "age-hat-lipstick",
        )
    return CASES[name]


def carries(face: Face, attribute: str) -> bool:
    """Whether a face has one of ``ATTRIBUTES``."""
    return face.expression == "happy" if attribute == "smiling" else bool(getattr(face, attribute))


def without(face: Face, attribute: str) -> Face:
    """The same face without the attribute; a smile gives way to a neutral expression."""
    if attribute == "smiling":
        return replace(face, expression="neutral", intensity=0.0)
    taken_off: dict[str, Any] = {attribute: False}
    return replace(face, **taken_off)
