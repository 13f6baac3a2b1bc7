"""Refusing images of a size that a model cannot take, in the same words everywhere."""

from __future__ import annotations

from torch import Tensor

from fer_lab.errors import ConfigError


def refuse_other_size(model: object, image: Tensor, image_size: int) -> None:
    """For models of one input size only.

    Args:
        model: named in the message.
        image: ``[B, 3, H, W]``.
        image_size: the height and width it must have.

    Raises:
        ConfigError: for images of another size.
    """
    if image.shape[-2:] != (image_size, image_size):
        raise ConfigError(
            f"this {type(model).__name__} takes images of {image_size} px, "
            f"not {image.shape[-2]}×{image.shape[-1]}",
            where="recipe.image_size",
            hint="give the model and the data the same image_size",
        )


def refuse_too_small(model: object, image_size: int, smallest: int) -> None:
    """For models of which nothing is left of small images.

    Args:
        model: named in the message.
        image_size: the shorter side of the images.
        smallest: what it must have.

    Raises:
        ConfigError: for a smaller size.
    """
    if image_size < smallest:
        raise ConfigError(
            f"{type(model).__name__} cannot take images of {image_size} px",
            where="recipe.image_size",
            hint=f"use at least {smallest} px",
        )


def refuse_unfilled(model: object, image_size: int, patch: int, examples: tuple[int, ...]) -> None:
    """For models that cut an image into squares.

    Args:
        model: named in the message.
        image_size: height and width of the images.
        patch: side of a square.
        examples: sizes that would do.

    Raises:
        ConfigError: for a size that squares do not fill.
    """
    if image_size < patch or image_size % patch:
        *some, last = examples
        raise ConfigError(
            f"{type(model).__name__} cannot take images of {image_size} px",
            where="recipe.image_size",
            hint=f"use a multiple of {patch}, such as {', '.join(map(str, some))} or {last}",
        )
