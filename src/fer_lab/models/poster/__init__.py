"""POSTER: image and landmark tokens of a face, fused by cross-attention at three widths."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any, ClassVar, Literal, Self

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.models.classifier import Classifier
from fer_lab.models.poster import ir50, mobilefacenet
from fer_lab.models.poster.fusion import TOKENS, WIDTH, PyramidFusion
from fer_lab.models.poster.ir50 import IR50
from fer_lab.models.poster.mobilefacenet import MobileFaceNet
from fer_lab.models.poster.part_weights import CHANNELS, load_part, load_whole

__all__ = ["POSTER", "PosterNetwork"]

log = logging.getLogger(__name__)

# Pyramid blocks by size.
DEPTHS = {"small": 4, "base": 6, "large": 8}

# Side in pixels of the face that both branches see.
FACE = 112

# Side of the maps after each stage of the image branch, by the stage's last unit.
_GRIDS = {"2": 56, "6": 28, "20": 14}

# What published files of the whole network hold beside it; the prefixes are the network's modules.
_UNUSED = (
    *(f"ir_back.{name}" for name in ir50.UNUSED),
    *(f"face_landback.{name}" for name in mobilefacenet.UNUSED),
    "pyramid_fuse.cls_token",
)


class SqueezeExcitation(nn.Module):
    """A feature times a gate in (0, 1) that two linear layers make of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, feature: Tensor) -> Tensor:
        """``[B, width]`` of a feature of that shape."""
        gate: Tensor = self.linear2(self.linear1(feature).relu()).sigmoid()
        return feature * gate


class PosterNetwork(nn.Module):
    """Normalised images -> logits; the landmark branch is frozen and always in evaluation mode.

    Names of modules and parameters are those of the published weights.
    """

    def __init__(self, num_classes: int, depth: int, drop_path: float) -> None:
        super().__init__()
        self.face_landback = MobileFaceNet().requires_grad_(False).eval()
        self.ir_back = IR50()
        self.ir_layer = nn.Linear(2 * WIDTH, WIDTH)
        self.pyramid_fuse = PyramidFusion(depth, drop_path)
        self.se_block = SqueezeExcitation(WIDTH)
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(WIDTH, num_classes)))

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the landmark branch."""
        super().train(mode)
        self.face_landback.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of normalised images ``[B, 3, H, W]``."""
        face = F.interpolate(image, size=(FACE, FACE))
        landmarks = self.face_landback(face).flatten(2).transpose(1, 2)
        # As the published weights were trained: the 256 maps of 14×14 end to end, cut into 49
        # pieces of 1024 numbers. A token is five maps, not a place.
        tokens = self.ir_back(face).flatten(1).unflatten(1, (TOKENS, 2 * WIDTH))
        feature = self.pyramid_fuse(self.ir_layer(tokens), landmarks)
        logits: Tensor = self.head(self.se_block(feature))
        return logits

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002 - timm names it
        """Patterns of the names in each layer: both branches, the fusion, the head."""
        return {
            "stem": r"^ir_back\.input_layer|^face_landback",
            "units": r"^ir_back\.body\.(\d+)",
            "tokens": r"^ir_layer|^pyramid_fuse\.(?:pos_embed|downsample)",
            "blocks": r"^pyramid_fuse\.blocks\.(\d+)",
        }


class POSTER(Classifier):
    """POSTER: 58.9 million parameters (large), 0.9 of them frozen. Any size of image.

    Image and landmark branch see the image at 112 px. The embedding layer of IR-50 (12.8 million
    parameters), which the authors' build holds and never runs, is left out.

    Its tokens mix all places of a map, so that the head depends on place: it is explained by
    HiResCAM at the last stage of the image branch, 14×14.

    Args:
        num_classes: number of expressions.
        image_weights: file of IR-50 (``ir50.pth``), for the image branch.
        landmark_weights: file of MobileFaceNet (``mobilefacenet_model_best.pth.tar``), for the
            landmark branch; without it the frozen branch stays random.
        weights: ``random``, or a file of the whole network, the authors' or one trained here.
        channels: order in which the network sees an image's channels, ``rgb`` or ``bgr``; by
            default that of ``weights``: the authors' whole network was trained blue first.
        **options: see ``build`` and ``Classifier``.

    Raises:
        ConfigError: for options that cannot work, and files that are missing or do not fit.

    Source: Zheng, Mendieta, Chen 2023, and the code they publish (zczcwh/POSTER).
    """

    image_size = 224
    attribution_method: ClassVar[Literal["gradcam", "hirescam"]] = "hirescam"

    def __init__(
        self,
        num_classes: int = 7,
        *,
        image_weights: str | None = None,
        landmark_weights: str | None = None,
        weights: str = "random",
        channels: str | None = None,
        **options: Any,
    ) -> None:
        if channels not in (None, *CHANNELS):
            raise ConfigError(
                f"there is no order of channels {channels!r}",
                where="model.channels",
                hint=f"choose one of {', '.join(CHANNELS)}",
            )
        # The base class keeps no path of a file in checkpoints, and gets none here.
        published = weights if weights == "imagenet" else "random"
        super().__init__(num_classes, weights=published, **options)
        seen = "rgb"
        if weights not in ("random", "imagenet"):
            seen = load_whole(
                self.backbone, weights, unused=_UNUSED, head=self.head, classes=self.classes
            )
        self.channels = channels or seen
        self.save_hyperparameters({"channels": self.channels})
        network: Any = self.backbone
        if image_weights is not None:
            load_part(network.ir_back, image_weights, option="image_weights", unused=ir50.UNUSED)
        if landmark_weights is not None:
            load_part(
                network.face_landback,
                landmark_weights,
                option="landmark_weights",
                unused=mobilefacenet.UNUSED,
            )
        self._landmarks_are_random = landmark_weights is None and weights == "random"

    def build(self, size: str = "large", drop_path: float = 0.1) -> nn.Module:
        """The network.

        Args:
            size: ``small``, ``base`` or ``large``: 4, 6 or 8 pyramid blocks.
            drop_path: rate of skipped branches in the last block, in [0, 1).
        """
        if size not in DEPTHS:
            raise ConfigError(
                f"POSTER has no size {size!r}",
                where="model.size",
                hint=f"choose one of {', '.join(DEPTHS)}",
            )
        if not 0 <= drop_path < 1:
            raise ConfigError(f"{drop_path} is not in [0, 1)", where="model.drop_path")
        return PosterNetwork(self.num_classes, DEPTHS[size], drop_path)

    @property
    def head(self) -> str:
        """The last linear layer."""
        return "head.linear"

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The stages of the image branch; their grids are the same for every size of image."""
        return [
            (f"backbone.ir_back.body.{unit}", max(self.image_size // grid, 1))
            for unit, grid in _GRIDS.items()
        ]

    def normalise(self, image: Tensor) -> Tensor:
        """Images in [0, 1] as the backbone takes them, channels in the order it was trained with.

        As in the authors' code mean and deviation stay in their places: blue gets those of red.
        """
        return super().normalise(image.flip(1) if self.channels == "bgr" else image)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint holds is not random."""
        super().on_load_checkpoint(checkpoint)
        self._landmarks_are_random = False

    def on_fit_start(self) -> None:
        """Say so when the frozen branch knows nothing of landmarks."""
        if self._landmarks_are_random:
            log.warning(
                "POSTER's landmark branch is frozen and random: give the published file by "
                "model.landmark_weights=<path>, or figures will not be POSTER's"
            )
