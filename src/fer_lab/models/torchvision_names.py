"""Weights with torchvision's names, as timm's models of the same architecture hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Statistics that images had for every ViT of torchvision.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_Names = tuple[tuple[str, str], ...]

_VGG: _Names = (
    (r"features\.", "features."),
    (r"classifier\.0\.", "pre_logits.fc1."),
    (r"classifier\.3\.", "pre_logits.fc2."),
    (r"classifier\.6\.", "head.fc."),
)

_VIT: _Names = (
    (r"class_token$", "cls_token"),
    (r"encoder\.pos_embedding$", "pos_embed"),
    (r"conv_proj\.", "patch_embed.proj."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.", r"blocks.\1.norm\2."),
    (
        r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_",
        r"blocks.\1.attn.qkv.",
    ),
    (
        r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.",
        r"blocks.\1.attn.proj.",
    ),
    # The older of the names are those of its published files.
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.", r"blocks.\1.mlp.fc1."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.", r"blocks.\1.mlp.fc2."),
    (r"encoder\.ln\.", "norm."),
    (r"heads\.head\.", "head."),
)


def _stage(number: int, *parts: str) -> _Names:
    """A stage of EfficientNet: ``parts`` of a block in their order, each but ``se`` with a norm."""
    block, names, norms = rf"features\.{number + 1}\.(\d+)\.block\.", [], 0
    for place, part in enumerate(parts):
        home = rf"blocks.{number}.\1."
        if part == "se":
            names.append((rf"{block}{place}\.fc1\.", f"{home}se.conv_reduce."))
            names.append((rf"{block}{place}\.fc2\.", f"{home}se.conv_expand."))
        else:
            norms += 1
            names.append((rf"{block}{place}\.0\.", f"{home}{part}."))
            names.append((rf"{block}{place}\.1\.", f"{home}bn{norms}."))
    return tuple(names)


_EFFICIENTNET: _Names = (
    (r"features\.0\.0\.", "conv_stem."),
    (r"features\.0\.1\.", "bn1."),
    *_stage(0, "conv_dw", "se", "conv_pw"),
    *(
        pair
        for number in range(1, 7)
        for pair in _stage(number, "conv_pw", "conv_dw", "se", "conv_pwl")
    ),
    (r"features\.8\.0\.", "conv_head."),
    (r"features\.8\.1\.", "bn2."),
    (r"classifier\.1\.", "classifier."),
)

# By timm's name of the architecture: a name that only torchvision's files have, and all of them.
# Files of ResNet and Inception have the same names in both libraries.
_ARCHITECTURES: dict[str, tuple[str, _Names]] = {
    "vgg16": ("classifier.0.weight", _VGG),
    "vgg16_bn": ("classifier.0.weight", _VGG),
    "efficientnet_b0": ("features.0.0.weight", _EFFICIENTNET),
    "vit_base_patch16_224": ("encoder.pos_embedding", _VIT),
}


def from_torchvision(given: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Weights under timm's names, if they have torchvision's and fit ``backbone`` then.

    torchvision's ViT was trained on images with other statistics than timm's: its first layer is
    changed so that it answers alike to images as ``backbone`` takes them.

    Args:
        given: tensors by name; anything may stand before all names.
        backbone: a model of any library.

    Returns:
        ``given`` itself, in a new dict, where it is nothing that is known here.
    """
    published: Any = getattr(backbone, "pretrained_cfg", {})
    anchor, names = _ARCHITECTURES.get(published.get("architecture", ""), ("", ()))
    starts = [name.removesuffix(anchor) for name in given if anchor and name.endswith(anchor)]
    if not starts:
        return dict(given)
    start = min(starts, key=len)
    own = backbone.state_dict()
    found: dict[str, Tensor] = {}
    for name, tensor in given.items():
        if name.startswith(start):
            ours = _renamed(name.removeprefix(start), names)
            # VGG's dense layers are convolutions in timm.
            same = ours in own and own[ours].numel() == tensor.numel()
            found[ours] = tensor.reshape(own[ours].shape) if same else tensor
    first = found.get("patch_embed.proj.weight")
    if names is _VIT and first is not None and first.shape == own["patch_embed.proj.weight"].shape:
        _change_statistics(found, published["mean"], published["std"])
    return found


def _renamed(name: str, names: _Names) -> str:
    for pattern, ours in names:
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return renamed
    return name


def _change_statistics(
    state: dict[str, Tensor], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Let a first layer without padding take images normalised by ``mean`` and ``std``."""
    weight = state["patch_embed.proj.weight"]
    theirs, ours = torch.tensor([_MEAN, _STD]), torch.tensor([mean, std])
    scale, shift = ours[1] / theirs[1], (ours[0] - theirs[0]) / theirs[1]
    state["patch_embed.proj.weight"] = weight * scale.view(3, 1, 1)
    if "patch_embed.proj.bias" in state:
        moved = (weight * shift.view(3, 1, 1)).sum((1, 2, 3))
        state["patch_embed.proj.bias"] = state["patch_embed.proj.bias"] + moved
