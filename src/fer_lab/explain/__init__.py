"""Explanations: attribution maps, what they say about a face, and whether to believe them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.explain import (
        clustering,
        face_space,
        faithfulness,
        intensity,
        merged,
        patches,
        regions,
    )
    from fer_lab.explain.attribution import Explanation, attribute, explain_prediction
    from fer_lab.explain.attribution.layers import grid_of

__all__ = [
    "Explanation",
    "attribute",
    "clustering",
    "explain_prediction",
    "face_space",
    "faithfulness",
    "grid_of",
    "intensity",
    "merged",
    "patches",
    "regions",
]

_HOMES = {
    "Explanation": "fer_lab.explain.attribution",
    "attribute": "fer_lab.explain.attribution",
    "explain_prediction": "fer_lab.explain.attribution",
    "grid_of": "fer_lab.explain.attribution.layers",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
