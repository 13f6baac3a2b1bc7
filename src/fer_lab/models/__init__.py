"""Classifiers: the shared LightningModule and one small subclass per backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.models.classifier import Classifier
    from fer_lab.models.convnets import (
        BaselineCNN,
        MobileNetV1,
        ResNet50,
        TimmClassifier,
        Xception,
    )

__all__ = ["BaselineCNN", "Classifier", "MobileNetV1", "ResNet50", "TimmClassifier", "Xception"]

_HOMES = {
    "BaselineCNN": "fer_lab.models.convnets",
    "Classifier": "fer_lab.models.classifier",
    "MobileNetV1": "fer_lab.models.convnets",
    "ResNet50": "fer_lab.models.convnets",
    "TimmClassifier": "fer_lab.models.convnets",
    "Xception": "fer_lab.models.convnets",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and timm take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
