"""Fairness and accuracy of a model: pure functions, and the torchmetrics classes over them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_lab.metrics.comparison import compare_predictions
    from fer_lab.metrics.confusion import GroupConfusion
    from fer_lab.metrics.predictions import audit_predictions, prediction_scalars
    from fer_lab.metrics.report import FairnessReport

__all__ = [
    "FairnessReport",
    "GroupConfusion",
    "audit_predictions",
    "compare_predictions",
    "prediction_scalars",
]

# Figures of a table need no torchmetrics, which takes seconds to import.
_MODULES = {
    "FairnessReport": "report",
    "GroupConfusion": "confusion",
    "audit_predictions": "predictions",
    "compare_predictions": "comparison",
    "prediction_scalars": "predictions",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
