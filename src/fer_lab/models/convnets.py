"""Convolutional backbones of the studies, and any model of timm's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import timm
import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError, near_miss
from fer_lab.models.classifier import Classifier
from fer_lab.models.sizes import refuse_other_size, refuse_unfilled
from fer_lab.models.timm_backbone import RoundingDown, TimmBackbone


class BaselineCNN(Classifier):
    """Three convolutions and two dense layers: 1.1 million parameters at 64 px.

    Three blocks of 3×3 convolution (32, 64, 128 channels), ReLU and 2×2 max-pooling, then Dense
    128, ReLU, Dropout and the head. The image's side must be a multiple of 8. Its head sees where a
    feature is, so that Grad-CAM, which averages the gradient over space, would explain it wrongly;
    it is explained by HiResCAM at the ReLU before the last pooling.

    Source: Olate et al. 2025, baseline CNN.
    """

    image_size = 64
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    attribution_method: ClassVar[Literal["gradcam", "hirescam"]] = "hirescam"

    def build(self, dropout: float = 0.5) -> nn.Module:
        """The network; ``dropout`` stands before the head."""
        refuse_unfilled(self, self.image_size, 8, (48, 64, 96))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        for block, width in enumerate((32, 64, 128), start=1):
            layers[f"conv{block}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1)
            layers[f"relu{block}"] = nn.ReLU()
            layers[f"pool{block}"] = nn.MaxPool2d(2)
            channels = width
        layers["flatten"] = nn.Flatten()
        layers["dense"] = nn.Linear(channels * (self.image_size // 8) ** 2, 128)
        layers["dense_relu"] = nn.ReLU()
        layers["dropout"] = nn.Dropout(dropout)
        layers["head"] = nn.Linear(128, self.num_classes)
        return nn.Sequential(layers)

    @property
    def head(self) -> str:
        """The last dense layer."""
        return "head"

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The ReLU of each block."""
        return [("backbone.relu1", 1), ("backbone.relu2", 2), ("backbone.relu3", 4)]

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of images ``[B, 3, image_size, image_size]`` with values in [0, 1]."""
        refuse_other_size(self, image, self.image_size)
        return super().forward(image)


class TimmClassifier(TimmBackbone):
    """Any classification model of timm: ``TimmClassifier(7, name="resnet18")``.

    Input size and normalisation are those that its published weights were trained with.
    """

    def build(self, name: str = "resnet18") -> nn.Module:
        """The model called ``name`` in timm.

        Raises:
            ConfigError: for a name that timm does not know, and an image size that the model cannot
                take.
        """
        if not timm.is_model(name):
            near = near_miss(name, timm.list_models())
            raise ConfigError(
                f"timm has no model called {name!r}",
                where="model.name",
                hint=f"did you mean {near!r}?" if near else "timm.list_models() lists them",
            )
        published = timm.get_pretrained_cfg(name)
        if published is not None:
            self.mean, self.std = _three(published.mean), _three(published.std)
            if "image_size" not in self.__dict__:
                self.image_size = published.input_size[-1]
        self.architecture = name
        try:
            backbone = super().build()
            if published is None or self.image_size != published.input_size[-1]:
                self._try(backbone)
        except Exception as error:  # its authors say it in their own ways
            said = str(error).partition("\n")[0] or type(error).__name__
            raise ConfigError(
                f"{name} cannot take images of {self.image_size} px: {said}",
                where="recipe.image_size",
                hint=f"it is published for {published.input_size[-1]} px" if published else None,
            ) from error
        return backbone

    def _try(self, backbone: nn.Module) -> None:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 3, self.image_size, self.image_size))
        backbone.train()


class MobileNetV1(TimmBackbone):
    """MobileNetV1, width 1.0: 4.2 million parameters with the ImageNet head. 224 px.

    Source: Howard et al. 2017; timm's ``mobilenetv1_100``.
    """

    architecture = "mobilenetv1_100"
    wide_head = True
    image_size = 224
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)


class ResNet50(TimmBackbone):
    """ResNet-50: 25.6 million parameters with the ImageNet head. 224 px.

    Source: He et al. 2016; timm's ``resnet50``.
    """

    architecture = "resnet50"
    image_size = 224
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)


class Xception(TimmBackbone):
    """Xception: 22.9 million parameters with the ImageNet head. 299 px, and others.

    Source: Chollet 2017; timm's ``legacy_xception``.
    """

    architecture = "legacy_xception"
    unpadded = 6
    smallest = 7
    image_size = 299
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)


class ResNet50Transfer(ResNet50):
    """ResNet-50 of which only the last stage learns, under a head of two dense layers. 224 px.

    Frozen are the stem and the stages ``layer1`` to ``layer3``. The head is global average
    pooling, batch norm, Dense 256, ReLU, Dropout, Dense.

    Source: Olate et al. 2025, transfer recipe.
    """

    frozen = ("conv1", "bn1", "layer1", "layer2", "layer3")
    dropout: float

    def build(self, dropout: float = 0.5) -> nn.Module:
        """The network; ``dropout`` stands before the logits."""
        self.dropout = dropout
        return self._with_head(super().build())

    def imagenet_backbone(self) -> nn.Module:
        """ResNet-50 as published, under a new head."""
        return self._with_head(super().imagenet_backbone())

    def _with_head(self, backbone: Any) -> nn.Module:
        width = backbone.num_features
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["norm"] = nn.BatchNorm1d(width)
        layers["dense"] = nn.Linear(width, 256)
        layers["relu"] = nn.ReLU()
        layers["dropout"] = nn.Dropout(self.dropout)
        layers["logits"] = nn.Linear(256, self.num_classes)
        backbone.fc = nn.Sequential(layers)
        module: nn.Module = backbone
        return module


class EfficientNetB0(TimmBackbone):
    """EfficientNet-B0: 5.3 million parameters with the ImageNet head. 224 px.

    Source: Tan & Le 2019; timm's ``efficientnet_b0``.
    """

    architecture = "efficientnet_b0"
    wide_head = True

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The stages, and the last convolution with its activation, which is what is pooled."""
        return [*super().stages, ("backbone.bn2", 32)]


class InceptionV3(RoundingDown):
    """Inception v3 without its auxiliary classifier: 23.8 million parameters. 299 px, and others.

    Its classifier is what the gender study puts there: global average pooling and a dense layer.

    Source: Szegedy et al. 2016; timm's ``inception_v3``.
    """

    architecture = "inception_v3"
    wide_head = True
    image_size = 299
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    smallest = 75
    lost: ClassVar[Mapping[int, int]] = {2: 5, 4: 15, 8: 19, 16: 27, 32: 43}


class VGG16(RoundingDown):
    """VGG-16: 138.4 million parameters with the ImageNet head. 224 px, and others.

    Its head sees where a feature is: it is explained by HiResCAM at the activation before the last
    pooling.

    Source: Simonyan & Zisserman 2015; timm's ``vgg16``.
    """

    architecture = "vgg16"
    smallest = 32
    attribution_method: ClassVar[Literal["gradcam", "hirescam"]] = "hirescam"
    new_classifier: bool

    def __init__(self, num_classes: int = 7, *, weights: str = "random", **options: Any) -> None:
        super().__init__(num_classes, weights=weights, **options)
        if self.new_classifier and weights != "random":
            backbone: Any = self.backbone
            for part in (backbone.pre_logits.fc1, backbone.pre_logits.fc2, backbone.head.fc):
                nn.init.normal_(part.weight, std=0.01)
                nn.init.zeros_(part.bias)

    def build(self, dropout: float = 0.5, *, new_classifier: bool = False) -> nn.Module:
        """The network.

        Args:
            dropout: after both layers of 4096.
            new_classifier: of given weights use the convolutional part alone; the layers 4096, 4096
                and C start anew (intensity study).
        """
        self.new_classifier = new_classifier
        self.dropout = dropout
        return self._create()

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The last activation of each block."""
        return super().stages[:-1]

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "drop_rate": self.dropout}


class VGG16BN(VGG16):
    """VGG-16 with batch norms: 138.4 million parameters with the ImageNet head. 224 px, and others.

    Source: Simonyan & Zisserman 2015, Ioffe & Szegedy 2015; timm's ``vgg16_bn``.
    """

    architecture = "vgg16_bn"


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
