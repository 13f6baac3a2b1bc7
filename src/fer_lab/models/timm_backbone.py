"""A model of the timm library as a backbone: its stages, its published weights, frozen parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import timm
from timm.models import VisionTransformer
from torch import Tensor, nn

from fer_lab.models.classifier import MIN_GRID
from fer_lab.models.freezing import PartlyFrozen
from fer_lab.models.sizes import refuse_other_size, refuse_too_small
from fer_lab.models.weights import imagenet_model


class TimmBackbone(PartlyFrozen):
    """A model of the timm library; ``architecture`` is its name there.

    Args:
        num_classes: number of expressions.
        weights: as ``Classifier`` takes it.
        frozen: paths in ``backbone`` of modules that do not learn and stay as in evaluation; the
            subclass' own by default.
        **options: of ``Classifier``.

    Raises:
        ConfigError: for a path of no module, and an image too small for the backbone.
    """

    architecture: str
    # Smallest side, in pixels, of which something is left after the last stage.
    smallest: ClassVar[int] = 1
    # Whether timm draws heads by their outputs alone, as TensorFlow does: with few classes the
    # first logits of such a head have a deviation of 2 to 4.
    wide_head: ClassVar[bool] = False
    # Whether it was built for images of one size.
    fixed_size: bool

    def __init__(
        self,
        num_classes: int = 7,
        *,
        weights: str = "random",
        frozen: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, weights=weights, **options)
        self.hold(frozen, weights)

    def build(self) -> nn.Module:
        """The model with a head of ``num_classes``."""
        return self._create()

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of images ``[B, 3, H, W]`` with values in [0, 1].

        Raises:
            ConfigError: for images too small for the backbone, or of another size than the only one
                that it takes.
        """
        if self.fixed_size:
            refuse_other_size(self, image, self.image_size)
        refuse_too_small(self, min(image.shape[-2:]), self.smallest)
        return super().forward(image)

    def imagenet_backbone(self) -> nn.Module:
        """The model with the weights that timm publishes for it."""
        backbone: Any = imagenet_model(self.architecture, **self._arguments())
        given = self.num_classes == backbone.pretrained_cfg["num_classes"]
        return backbone if given else self._with_new_head(backbone)

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

    def _create(self) -> nn.Module:
        refuse_too_small(self, self.image_size, self.smallest)
        self.fixed_size = "img_size" in self._arguments()
        return self._with_new_head(timm.create_model(self.architecture, **self._arguments()))

    def _with_new_head(self, backbone: Any) -> nn.Module:
        """The model with a head as torch draws it, where timm's would be too wide."""
        if self.wide_head:
            backbone.get_submodule(backbone.pretrained_cfg["classifier"]).reset_parameters()
        module: nn.Module = backbone
        return module

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"num_classes": self.num_classes}
        published = timm.get_pretrained_cfg(self.architecture)
        if published is not None and published.fixed_input_size:
            arguments["img_size"] = self.image_size
        return arguments


class RoundingDown(TimmBackbone):
    """A backbone that loses the pixels at the border which its steps do not fill.

    After the stage that reduces by ``f`` its map has the side ``(image_size - lost[f]) // f``.
    """

    lost: ClassVar[Mapping[int, int]] = {}

    @property
    def attribution_layer(self) -> str:
        """The last stage with a grid of at least 7×7 at ``image_size``."""
        return [
            path
            for path, factor in self.stages
            if (self.image_size - self.lost.get(factor, 0)) // factor >= MIN_GRID
        ][-1]
