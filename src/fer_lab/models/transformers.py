"""Vision transformers: ViT-B/16 and a tiny one."""

from __future__ import annotations

from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.models.timm_backbone import TimmBackbone


class PatchTransformer(TimmBackbone):
    """A vision transformer of timm over square patches; it takes images of one size only.

    It is explained at the first normalisation inside its last block: after the block only the
    class token is read.
    """

    patch: int = 16
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def build(self) -> nn.Module:
        """The model with position embeddings for ``image_size``.

        Raises:
            ConfigError: for a size that patches do not fill.
        """
        if self.image_size < self.patch or self.image_size % self.patch:
            raise ConfigError(
                f"{type(self).__name__} cannot take images of {self.image_size} px",
                where="recipe.image_size",
                hint=f"use a multiple of {self.patch}, such as {7 * self.patch} or "
                f"{14 * self.patch}",
            )
        return super().build()

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of images ``[B, 3, image_size, image_size]`` with values in [0, 1].

        Raises:
            ConfigError: for images of another size.
        """
        if image.shape[-2:] != (self.image_size, self.image_size):
            raise ConfigError(
                f"this {type(self).__name__} takes images of {self.image_size} px, "
                f"not {image.shape[-2]}×{image.shape[-1]}",
                where="recipe.image_size",
                hint="give the model and the data the same image_size",
            )
        return super().forward(image)


class ViTB16(PatchTransformer):
    """ViT-B/16: 86.6 million parameters with the ImageNet head. 224 px.

    Source: Dosovitskiy et al. 2021; timm's ``vit_base_patch16_224``.
    """

    architecture = "vit_base_patch16_224"


class ViTTiny(PatchTransformer):
    """ViT-Ti/16: 5.7 million parameters with the ImageNet head. 224 px.

    Source: Touvron et al. 2021; timm's ``vit_tiny_patch16_224``.
    """

    architecture = "vit_tiny_patch16_224"
