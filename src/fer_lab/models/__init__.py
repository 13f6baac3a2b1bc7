"""Classifiers: the shared LightningModule and one small subclass per backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.models.ceprompt import CEPrompt
    from fer_lab.models.classifier import Classifier
    from fer_lab.models.clip import CLIPB16, CLIPZeroShot
    from fer_lab.models.convnets import (
        VGG16,
        VGG16BN,
        BaselineCNN,
        EfficientNetB0,
        InceptionV3,
        MobileNetV1,
        ResNet50,
        ResNet50Transfer,
        TimmClassifier,
        Xception,
    )
    from fer_lab.models.poster import POSTER
    from fer_lab.models.transformers import ViTB16, ViTTiny

__all__ = [
    "CLIPB16",
    "POSTER",
    "VGG16",
    "VGG16BN",
    "BaselineCNN",
    "CEPrompt",
    "CLIPZeroShot",
    "Classifier",
    "EfficientNetB0",
    "InceptionV3",
    "MobileNetV1",
    "ResNet50",
    "ResNet50Transfer",
    "TimmClassifier",
    "ViTB16",
    "ViTTiny",
    "Xception",
]

_HOMES = {
    "POSTER": "fer_lab.models.poster",
    "BaselineCNN": "fer_lab.models.convnets",
    "CEPrompt": "fer_lab.models.ceprompt",
    "CLIPB16": "fer_lab.models.clip",
    "CLIPZeroShot": "fer_lab.models.clip",
    "Classifier": "fer_lab.models.classifier",
    "EfficientNetB0": "fer_lab.models.convnets",
    "InceptionV3": "fer_lab.models.convnets",
    "MobileNetV1": "fer_lab.models.convnets",
    "ResNet50": "fer_lab.models.convnets",
    "ResNet50Transfer": "fer_lab.models.convnets",
    "TimmClassifier": "fer_lab.models.convnets",
    "VGG16": "fer_lab.models.convnets",
    "VGG16BN": "fer_lab.models.convnets",
    "ViTB16": "fer_lab.models.transformers",
    "ViTTiny": "fer_lab.models.transformers",
    "Xception": "fer_lab.models.convnets",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and timm take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
