"""Convolutional backbones: the baseline CNN, MobileNetV1, ResNet-50, Xception, any of timm's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import timm
from timm.models import VisionTransformer
from torch import Tensor, nn

from fer_lab.errors import ConfigError, near_miss
from fer_lab.models.classifier import Classifier
from fer_lab.models.weights import imagenet_model


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
        if self.image_size < 8 or self.image_size % 8:
            raise ConfigError(
                f"BaselineCNN cannot take images of {self.image_size} px",
                where="recipe.image_size",
                hint="use a multiple of 8, such as 48, 64 or 96",
            )
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
        if image.shape[-2:] != (self.image_size, self.image_size):
            raise ConfigError(
                f"this BaselineCNN takes images of {self.image_size} px, "
                f"not {image.shape[-2]}×{image.shape[-1]}",
                where="recipe.image_size",
                hint="give the model and the data the same image_size",
            )
        return super().forward(image)


class TimmBackbone(Classifier):
    """A model of the timm library; ``architecture`` is its name there."""

    architecture: str

    def build(self) -> nn.Module:
        """The model with a head of ``num_classes``."""
        backbone: nn.Module = timm.create_model(self.architecture, **self._arguments())
        return backbone

    def imagenet_backbone(self) -> nn.Module:
        """The model with the weights that timm publishes for it."""
        return imagenet_model(self.architecture, **self._arguments())

    @property
    def head(self) -> str:
        """The classifier as timm names it."""
        backbone: Any = self.backbone
        return str(backbone.pretrained_cfg["classifier"])

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The stages that timm lists as sources of features."""
        backbone: Any = self.backbone
        found = backbone.feature_info
        rows = found if isinstance(found, list) else found.info
        stages = [(f"backbone.{row['module']}", row["reduction"]) for row in rows]
        if isinstance(backbone, VisionTransformer) and backbone.global_pool == "token":
            # After the last block only the class token is read, and a normalisation of the tokens
            # makes their gradient orthogonal to them: the other tokens count at its output.
            path, reduction = stages.pop()
            stages.append((f"{path}.norm1", reduction))
        return stages

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"num_classes": self.num_classes}
        published = timm.get_pretrained_cfg(self.architecture)
        if published is not None and published.fixed_input_size:
            arguments["img_size"] = self.image_size
        return arguments


class TimmClassifier(TimmBackbone):
    """Any classification model of timm: ``TimmClassifier(7, name="resnet18")``.

    Input size and normalisation are those that its published weights were trained with.
    """

    def build(self, name: str = "resnet18") -> nn.Module:
        """The model called ``name`` in timm."""
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
        return super().build()


class MobileNetV1(TimmBackbone):
    """MobileNetV1, width 1.0: 4.2 million parameters with the ImageNet head. 224 px.

    Source: Howard et al. 2017; timm's ``mobilenetv1_100``.
    """

    architecture = "mobilenetv1_100"
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
    image_size = 299
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
