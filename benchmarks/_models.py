"""Every backbone at a size that is trained in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fer_lab import models
from fer_lab.data.vocabulary import expression_classes
from fer_lab.models import Classifier


class Case(NamedTuple):
    """How a backbone is measured.

    Attributes:
        model: name of its class.
        side: of the images, in pixels.
        batch: images a step.
        steps: in a block.
        options: of its class.
    """

    model: str
    side: int
    batch: int
    steps: int = 2
    options: Mapping[str, Any] = {}


CASES = {
    "baseline_cnn": Case("BaselineCNN", 64, 64, 4),
    "mobilenet_v1": Case("MobileNetV1", 96, 32),
    "resnet50": Case("ResNet50", 96, 8),
    "resnet50_transfer": Case("ResNet50Transfer", 96, 16),
    "xception": Case("Xception", 96, 8),
    "inception_v3": Case("InceptionV3", 112, 8),
    "vgg16": Case("VGG16", 64, 8, 1),
    "vgg16_bn": Case("VGG16BN", 64, 8, 1),
    "efficientnet_b0": Case("EfficientNetB0", 112, 8),
    "vit_b16": Case("ViTB16", 112, 4, 1),
    "vit_tiny": Case("ViTTiny", 112, 16),
    "clip_b16": Case("CLIPB16", 112, 8),
    "clip_b16 tuned": Case("CLIPB16", 112, 4, 1, {"frozen": []}),
    "ceprompt": Case("CEPrompt", 112, 4, 1),
    "poster": Case("POSTER", 112, 4, 1),
    "timm resnet18": Case("TimmClassifier", 96, 16),
}


def build(name: str) -> Classifier:
    """A backbone with random weights."""
    case = CASES[name]
    model_class: type[Classifier] = getattr(models, case.model)
    return model_class(7, classes=expression_classes(7), image_size=case.side, **case.options)
