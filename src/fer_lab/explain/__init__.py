"""Explanations: attribution maps, and what they say about face regions and patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.explain import patches, regions
    from fer_lab.explain.attribution import Explanation, attribute, explain_prediction
    from fer_lab.explain.attribution.layers import grid_of

__all__ = ["Explanation", "attribute", "explain_prediction", "grid_of", "patches", "regions"]

_HOMES = {
    "Explanation": "fer_lab.explain.attribution",
    "attribute": "fer_lab.explain.attribution",
    "explain_prediction": "fer_lab.explain.attribution",
    "grid_of": "fer_lab.explain.attribution.layers",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    from importlib import import_module

    if name in ("patches", "regions"):
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
