"""The image tower of CLIP ViT-B/16 as a backbone: what its two uses share."""

from __future__ import annotations

from typing import Any

import open_clip
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn

from fer_lab.models.classifier import Classifier
from fer_lab.models.clip_weights import load_towers, quick_gelu_of, weights_file
from fer_lab.models.sizes import refuse_other_size, refuse_unfilled


class TowerWithHead(nn.Module):
    """Normalised images -> features of the image tower ``[B, D]`` -> logits."""

    def __init__(self, visual: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of normalised images ``[B, 3, H, W]``."""
        logits: Tensor = self.head(self.visual(image))
        return logits

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002 - timm names it
        """Patterns of the names in each layer: the embeddings, each block, the head."""
        return {
            "stem": r"^visual\.(?:class_embedding|positional_embedding|conv1|ln_pre)",
            "blocks": r"^visual\.transformer\.resblocks\.(\d+)",
        }


class CLIPImageTower(Classifier):
    """What both uses of CLIP share: the image tower, its normalisation and its explanation.

    It takes images of one size and is explained at the first normalisation inside its last block:
    after the block only the class token is read.

    Args:
        num_classes: number of expressions.
        weights: ``random``, the path of a file, or the name of published weights (``openai``).
        quick_gelu: whether activations are x·σ(1.702x) in place of GELU; by default as published
            weights say, and true for files, as in OpenAI's.
        **options: see ``build`` and ``Classifier``.

    Raises:
        ConfigError: for options that cannot work, and weights that are missing or do not fit.
    """

    architecture = "ViT-B-16"
    image_size = 224
    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def __init__(
        self,
        num_classes: int = 7,
        *,
        weights: str = "random",
        quick_gelu: bool | None = None,
        **options: Any,
    ) -> None:
        if quick_gelu is None:
            quick_gelu = quick_gelu_of(self.architecture, weights)
        # The base class would look for a file of that name.
        super().__init__(num_classes, quick_gelu=quick_gelu, **options)
        self._untaught = weights == "random"
        if not self._untaught:
            self.load(weights)

    def load(self, weights: str) -> None:
        """Fill the backbone with weights that are not ``random``."""
        load_towers(self.backbone, weights_file(self.architecture, weights), self.classes)

    @property
    def head(self) -> str:
        """What makes logits of the tower's features."""
        return "head"

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The tokens that the last block reads."""
        visual: Any = self.backbone.visual
        last = len(visual.transformer.resblocks) - 1
        return [(f"backbone.visual.transformer.resblocks.{last}.ln_1", visual.patch_size[0])]

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of images ``[B, 3, image_size, image_size]`` with values in [0, 1].

        Raises:
            ConfigError: for images of another size.
        """
        refuse_other_size(self, image, self.image_size)
        return super().forward(image)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint holds has been learned."""
        super().on_load_checkpoint(checkpoint)
        self._untaught = False

    def config(self, *, quick_gelu: bool) -> dict[str, Any]:
        """Both towers as open_clip describes them, at ``image_size``."""
        found: dict[str, Any] = open_clip.get_model_config(self.architecture)
        found["vision_cfg"] |= {"image_size": self.image_size}
        return {**found, "quick_gelu": quick_gelu}

    def tower(self, *, quick_gelu: bool) -> nn.Module:
        """The image tower, randomly initialised.

        Raises:
            ConfigError: for a size that patches do not fill.
        """
        config = self.config(quick_gelu=quick_gelu)
        vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
        patch = vision.patch_size
        refuse_unfilled(self, self.image_size, patch, (7 * patch, 14 * patch))
        visual: nn.Module = VisionTransformer(
            image_size=self.image_size,
            patch_size=patch,
            width=vision.width,
            layers=vision.layers,
            heads=vision.width // vision.head_width,
            mlp_ratio=vision.mlp_ratio,
            output_dim=config["embed_dim"],
            act_layer=QuickGELU if quick_gelu else nn.GELU,
        )
        return visual
