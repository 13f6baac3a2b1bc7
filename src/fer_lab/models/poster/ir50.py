"""IR-50 without its last stage and embedding: the image branch of POSTER."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

# Blocks and channels of each stage; a stage halves the grid in its first block.
STAGES = ((3, 64), (4, 128), (14, 256))

# What files of the whole IR-50 hold beside this: the embedding, and the blocks of a fourth stage.
UNUSED = ("output_layer.", "body.21.", "body.22.", "body.23.")


class ResidualUnit(nn.Module):
    """Batch norm, 3×3 convolution, PReLU, 3×3 convolution with the stride, batch norm; a shortcut.

    Source: Deng et al. 2019 (ArcFace), the residual unit without squeeze and excitation.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if channels != width:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """``[B, width, H / stride, W / stride]`` of maps ``[B, channels, H, W]``."""
        added: Tensor = self.res_layer(maps) + self.shortcut_layer(maps)
        return added


class IR50(nn.Module):
    """Three stages of residual units: faces ``[B, 3, 112, 112]`` -> maps ``[B, 256, 14, 14]``.

    Names of parameters are those of the published weights.

    Source: Deng et al. 2019 (ArcFace); Zheng et al. 2023 (POSTER), image backbone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.body = nn.Sequential(*_units())

    def forward(self, face: Tensor) -> Tensor:
        """Maps ``[B, 256, 14, 14]`` of normalised faces ``[B, 3, 112, 112]``."""
        maps: Tensor = self.body(self.input_layer(face))
        return maps


def _units() -> Iterator[ResidualUnit]:
    channels = 64
    for count, width in STAGES:
        for unit in range(count):
            yield ResidualUnit(channels, width, stride=1 if unit else 2)
            channels = width
