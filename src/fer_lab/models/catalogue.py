"""What is published of each model, and what each is, counted without a weight in memory."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.errors import ConfigError


@dataclass(frozen=True)
class Published:
    """A count of parameters that others have printed.

    Attributes:
        parameters: their number; a float where it is printed rounded.
        source: who counts so.
        classes: of the head that is counted with.
        left_out: parameters that are counted there and are not in our model, by what they are.
    """

    parameters: float
    source: str
    classes: int = 1000
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """What a class does not say of itself.

    Attributes:
        conserves_relevance: whether ``explain=lrp`` takes it; None where that depends on options.
        published: its count, where one is known.
    """

    conserves_relevance: bool | None
    published: Published | None = None


# By the name of the class.
CATALOGUE: Mapping[str, Entry] = {
    "BaselineCNN": Entry(True),
    "MobileNetV1": Entry(True, Published(4.2e6, "Howard et al. 2017, Table 6")),
    "ResNet50": Entry(True, Published(25_557_032, "torchvision")),
    "ResNet50Transfer": Entry(True),
    "Xception": Entry(False, Published(22_855_952, "Chollet 2017, Table 3")),
    "InceptionV3": Entry(False, Published(23_851_784, "Keras")),
    "VGG16": Entry(True, Published(138_357_544, "torchvision")),
    "VGG16BN": Entry(True, Published(138_365_992, "torchvision")),
    "EfficientNetB0": Entry(False, Published(5_288_548, "torchvision")),
    "ViTB16": Entry(False, Published(86_567_656, "torchvision")),
    "ViTTiny": Entry(False, Published(5.7e6, "Touvron et al. 2021; timm")),
    "CLIPB16": Entry(False, Published(86.2e6, "open_clip's profile of the image tower", 7)),
    "CLIPZeroShot": Entry(
        False,
        Published(149.6e6, "open_clip's profile", 7, {"text tower": 63_428_097}),
    ),
    "CEPrompt": Entry(False),
    "POSTER": Entry(
        False,
        Published(
            71.8e6,
            "Zheng et al. 2023",
            7,
            {
                "embedding of IR-50": 12_848_640,
                "landmark output of MobileFaceNet": 96_016,
                "class token": 512,
            },
        ),
    ),
    "TimmClassifier": Entry(None),
}


@dataclass(frozen=True)
class ModelFacts:
    """What there is to know of a model before it is trained.

    Attributes:
        name: the option of ``model``.
        target: the dotted name of its class.
        summary: what it is, in a sentence.
        source: who describes it.
        parameters: their number, with a head of ``classes``.
        trained: how many of them learn, as configured.
        classes: of the head that is counted with.
        published: a printed count with the same head.
        image_size: side in pixels of the images that its recipe gives it.
        own_size: side in pixels of the images that it was published for.
        layer: path in ``backbone`` of the module that ``explain=gradcam`` looks at.
        method: the method that ``explain.method=auto`` means for it.
        lrp: whether ``explain=lrp`` takes it; None where nobody has looked.
        frozen: parts of ``backbone`` that do not learn.
        weights: what it begins with, as configured.
        optimizer: as configured.
        batch_size: of its recipe.
        epochs: of its recipe.
        note: what is to be said where the rest is not known.
    """

    name: str
    target: str
    summary: str = ""
    source: str = ""
    parameters: int | None = None
    trained: int | None = None
    classes: int | None = None
    published: Published | None = None
    image_size: int | None = None
    own_size: int | None = None
    layer: str | None = None
    method: str | None = None
    lrp: bool | None = None
    frozen: tuple[str, ...] = ()
    weights: str | None = None
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    epochs: int | None = None
    note: str = ""


def entry_of(model_class: type) -> Entry | None:
    """What is known of a class, if it is one of ours."""
    ours = model_class.__module__.startswith("fer_lab.")
    return CATALOGUE.get(model_class.__name__) if ours else None


def built(
    model_class: type, options: Mapping[str, Any], *, classes: int = 7, device: str = "meta"
) -> nn.Module:
    """A model with random weights, which on ``meta`` take no memory and next to no time.

    Args:
        model_class: its class.
        options: as ``model`` configures it.
        classes: of the head.
        device: where its weights are.
    """
    given = {key: value for key, value in options.items() if key != "_target_"}
    if "weights" in given:
        given["weights"] = "random"
    if classes <= len(EXPRESSIONS):
        given["classes"] = list(EXPRESSIONS[:classes])
    with torch.device(device):
        model: nn.Module = model_class(num_classes=classes, **given)
    return model


def facts_of(
    name: str, model_class: type, options: Mapping[str, Any], recipe: Mapping[str, Any]
) -> ModelFacts:
    """What a class and its configuration say.

    Args:
        name: the option of ``model``.
        model_class: its class.
        options: what the option writes to ``model``.
        recipe: what it writes to ``recipe``.
    """
    entry = entry_of(model_class) or Entry(None)
    classes = entry.published.classes if entry.published else 7
    model: Any = built(model_class, options, classes=classes)
    own_size = getattr(model, "image_size", None)
    size = recipe.get("image_size", own_size)
    if size != own_size:
        model = built(model_class, {**options, "image_size": size}, classes=classes)
    summary, source = described(model_class)
    if not source and hasattr(model, "architecture"):
        source = f"timm's {model.architecture}"
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return ModelFacts(
        name=name,
        target=str(options["_target_"]),
        summary=summary,
        source=source,
        parameters=sum(count for count, _ in counts),
        trained=sum(count for count, learns in counts if learns),
        classes=classes,
        published=entry.published,
        image_size=size,
        own_size=own_size,
        layer=_layer(model),
        method=getattr(model, "attribution_method", None),
        lrp=entry.conserves_relevance,
        frozen=tuple(getattr(model, "frozen", ())),
        weights=options.get("weights"),
        optimizer=options.get("optimizer") or {},
        batch_size=recipe.get("batch_size"),
        epochs=recipe.get("max_epochs"),
    )


def described(model_class: type) -> tuple[str, str]:
    """The first sentence of a class' docstring, and what stands behind its ``Source:``."""
    if "__doc__" not in vars(model_class) or not model_class.__doc__:
        return "", ""
    text = inspect.cleandoc(model_class.__doc__).replace("``", "")
    found = re.search(r"^Source: (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    source = " ".join(found[1].split()).removesuffix(".") if found else ""
    return " ".join(text.partition("\n\n")[0].split()), source


def _layer(model: Any) -> str | None:
    try:
        layer = str(model.attribution_layer)
    except (AttributeError, NotImplementedError, ConfigError):  # none, or none at this size
        return None
    return layer.removeprefix("backbone.")
