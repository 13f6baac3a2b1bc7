"""MobileFaceNet up to its last convolution: the landmark branch of POSTER."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

# What files of the whole network hold beside this: the layers that make 68 landmarks of the maps.
UNUSED = ("output_layer.",)


class Bottleneck(nn.Module):
    """1×1 convolution to ``hidden`` channels, 3×3 depthwise with the stride, 1×1 back; no shortcut.

    Source: Chen et al. 2018 (MobileFaceNets); Sandler et al. 2018.
    """

    def __init__(self, channels: int, hidden: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = _convolution(channels, hidden)
        self.conv_dw = _convolution(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = _convolution(hidden, width, activation=False)

    def forward(self, maps: Tensor) -> Tensor:
        """``[B, width, H / stride, W / stride]`` of maps ``[B, channels, H, W]``."""
        projected: Tensor = self.project(self.conv_dw(self.conv(maps)))
        return projected


class ResidualStage(nn.Module):
    """Bottlenecks of one width, each added to its input."""

    def __init__(self, width: int, hidden: int, count: int) -> None:
        super().__init__()
        self.model = nn.ModuleList(Bottleneck(width, hidden, width) for _ in range(count))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``[B, width, H, W]`` of maps of that shape."""
        for bottleneck in self.model:
            maps = maps + bottleneck(maps)
        return maps


class MobileFaceNet(nn.Module):
    """Faces ``[B, 3, 112, 112]`` -> maps ``[B, 512, 7, 7]``.

    Names of parameters are those of the published weights, which come from a regression of 68
    landmarks.

    Source: Chen et al. 2018 (MobileFaceNets); Zheng et al. 2023 (POSTER), landmark detector.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _convolution(3, 64, kernel=3, stride=2)
        self.conv2_dw = _convolution(64, 64, kernel=3, groups=64)
        self.conv_23 = Bottleneck(64, 128, 64, stride=2)
        self.conv_3 = ResidualStage(64, 128, count=4)
        self.conv_34 = Bottleneck(64, 256, 128, stride=2)
        self.conv_4 = ResidualStage(128, 256, count=6)
        self.conv_45 = Bottleneck(128, 512, 128, stride=2)
        self.conv_5 = ResidualStage(128, 256, count=2)
        self.conv_6_sep = _convolution(128, 512)
        # Torch's own initial weights would let the signal of a frozen, untrained network die out.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.25)

    def forward(self, face: Tensor) -> Tensor:
        """Maps ``[B, 512, 7, 7]`` of normalised faces ``[B, 3, 112, 112]``."""
        # In the order of their definition.
        maps = face
        for stage in self.children():
            maps = stage(maps)
        return maps


def _convolution(
    channels: int,
    width: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(
            channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        ),
        bn=nn.BatchNorm2d(width),
    )
    if activation:
        layers["prelu"] = nn.PReLU(width)
    return nn.Sequential(layers)
