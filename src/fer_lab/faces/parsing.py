"""Region masks from a face parsing network with weights from a local file, never from the network.

Architectures and weights are facexlib's: BiSeNet (Yu et al., ECCV 2018) and ParseNet (Chen et al.,
CVPR 2021), both trained on CelebAMask-HQ.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError, near_miss

# The classes of the BiSeNet weights, in the order of their training masks.
BISENET_ORDER: Final = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
# The classes of CelebAMask-HQ's own generator of masks, which the ParseNet weights follow.
CELEBAMASK_HQ_ORDER: Final = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip

# Images that are parsed at once, which bounds the memory of 19 maps of logits each.
_CHUNK: Final = 8


@dataclass(frozen=True)
class ParsingWeights:
    """A file of weights, and what the network with them is given and returns.

    Attributes:
        file: the file's name.
        order: name of each class.
        mean: of the normalisation, for RGB in [0, 1].
        std: of the normalisation.
        side: height and width of the network's input, in pixels.
        source: where the file is published.
    """

    file: str
    order: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    side: int
    source: str


_PUBLISHED: Final = "https://github.com/xinntao/facexlib/releases/download"
PARSERS: Final = {
    "bisenet": ParsingWeights(
        file="parsing_bisenet.pth",
        order=BISENET_ORDER,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        side=512,
        source=f"{_PUBLISHED}/v0.2.0/parsing_bisenet.pth",
    ),
    "parsenet": ParsingWeights(
        file="parsing_parsenet.pth",
        order=CELEBAMASK_HQ_ORDER,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        side=512,
        source=f"{_PUBLISHED}/v0.2.2/parsing_parsenet.pth",
    ),
}


class FaceParser(nn.Module):
    """A network of 19 classes whose answers are regions of the vocabulary.

    The faces should fill the picture as they do in CelebAMask-HQ, head and hair in sight: the
    networks tell left from right, and hair from cloth, by where things are. Left and right are
    those of the image.

    Args:
        network: maps ``[N, 3, side, side]`` to logits ``[N, classes, h, w]``, or to a tuple that
            begins with them.
        order: the region of each class, by name.
        mean: of the normalisation of RGB in [0, 1].
        std: of the normalisation.
        side: height and width of the network's input, in pixels.

    Raises:
        ValueError: if a name is no region, or a class is named twice.
    """

    codes: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        order: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        side: int,
    ) -> None:
        super().__init__()
        unknown = [name for name in order if name not in REGIONS]
        if unknown or len(set(order)) < len(order):
            raise ValueError(f"each class is one of the regions, once; not {unknown or order}")
        self.network = network
        self.side = side
        codes = torch.tensor([REGIONS.index(name) for name in order], dtype=torch.uint8)
        self.register_buffer("codes", codes, persistent=False)
        for name, values in (("mean", mean), ("std", std)):
            row = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, row, persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The region of each pixel.

        Args:
            images: RGB in [0, 1], ``[N, 3, H, W]``, best on the parser's device.

        Returns:
            uint8 ``[N, H, W]`` on the parser's device, index in ``vocabulary.REGIONS``.
        """
        size = images.shape[-2:]
        if not len(images):
            return torch.empty((0, *size), dtype=torch.uint8, device=self.codes.device)
        return torch.cat([self._parse(part, size) for part in torch.split(images, _CHUNK)])

    def _parse(self, images: Tensor, size: torch.Size) -> Tensor:
        given = _resized(images.to(self.mean), torch.Size((self.side, self.side)))
        answer = self.network((given - self.mean) / self.std)
        logits: Tensor = answer if isinstance(answer, Tensor) else answer[0]
        return self.codes[_resized(logits, size).argmax(1)]


def weights_file(name: str, folder: str | os.PathLike[str]) -> Path:
    """Where the weights of a parser belong, whether they are there or not.

    Args:
        name: ``bisenet`` or ``parsenet``.
        folder: the folder of face models.

    Raises:
        ConfigError: for another name.
    """
    if name not in PARSERS:
        guess = near_miss(name, PARSERS)
        raise ConfigError(
            f"{name!r} is no face parser" + (f"; did you mean {guess}?" if guess else ""),
            where="parser",
            hint=f"choose {' or '.join(PARSERS)}",
        )
    return Path(folder).expanduser() / PARSERS[name].file


def load_parser(
    name: str,
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    turn_off: str = "parser=none",
) -> FaceParser:
    """A face parser with published weights from a local file, ready for use.

    Args:
        name: ``bisenet`` (faster) or ``parsenet``.
        folder: the folder with the file that ``PARSERS`` names.
        device: where it computes.
        turn_off: the option that does without it, for the message when the file is missing.

    Raises:
        ConfigError: for another name, a missing or broken file, one that holds anything but
            weights (nothing in it is executed), or weights of another architecture.
        FerLabError: when OpenCV, which facexlib needs, cannot be loaded.
    """
    file = weights_file(name, folder)
    weights = PARSERS[name]
    if not file.is_file():
        raise ConfigError(
            f"the weights of the face parser {name} are missing: {file.name}",
            where=file,
            hint=f"put {weights.source} into {file.parent}, or turn the parser off with {turn_off}",
        )
    network = _NETWORKS[name]()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # a reader fed with arbitrary bytes may raise anything
        lines = str(error).splitlines() or ["empty"]
        raise ConfigError(
            f"these are no weights of the face parser {name}: {' '.join(lines[:2])[:200]}",
            where=file,
            hint=f"fetch the file again from {weights.source}, or turn the parser off with "
            f"{turn_off}; programs inside such files are never run",
        ) from error
    parser = FaceParser(
        network, weights.order, mean=weights.mean, std=weights.std, side=weights.side
    )
    return parser.to(device).eval().requires_grad_(False)


def _bisenet() -> nn.Module:
    opencv()  # facexlib imports it: what the system lacks is said in our words
    from facexlib.parsing.bisenet import BiSeNet

    network: nn.Module = BiSeNet(num_class=len(BISENET_ORDER))
    return network


def _parsenet() -> nn.Module:
    opencv()
    from facexlib.parsing.parsenet import ParseNet

    network: nn.Module = ParseNet(in_size=512, out_size=512, parsing_ch=len(CELEBAMASK_HQ_ORDER))
    return network


# Not facexlib's own loader: it fetches a missing file, and computes on CUDA unless told otherwise.
_NETWORKS: Final[dict[str, Callable[[], nn.Module]]] = {
    "bisenet": _bisenet,
    "parsenet": _parsenet,
}


def _resized(maps: Tensor, size: torch.Size) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", antialias=True)
