"""Vision transformers: ViT-B/16 and a tiny one."""

from __future__ import annotations

from torch import nn

from fer_lab.models.sizes import refuse_unfilled
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
        refuse_unfilled(self, self.image_size, self.patch, (7 * self.patch, 14 * self.patch))
        return super().build()


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
