"""Parts of a backbone that do not learn: fixed weights, and layers as in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fer_lab.errors import ConfigError, near_miss


def freeze(backbone: nn.Module, paths: Sequence[str]) -> None:
    """Fix the weights of some modules: no gradient is kept and no optimizer state made for them.

    Args:
        backbone: changed in place.
        paths: of modules in it, as ``features`` or ``layer4.0``.

    Raises:
        ConfigError: for a path of no module, or when nothing is left to learn.
    """
    modules = dict(backbone.named_modules())
    for path in paths:
        if not path or path not in modules:
            near = near_miss(path, modules)
            children = ", ".join(name for name, _ in backbone.named_children())
            raise ConfigError(
                f"the backbone has no module {path!r}",
                where="model.frozen",
                hint=f"did you mean {near!r}?" if near else f"it has {children} and their parts",
            )
        modules[path].requires_grad_(False)
    if paths and not any(parameter.requires_grad for parameter in backbone.parameters()):
        raise ConfigError(
            "the whole backbone is frozen: nothing is left to learn",
            where="model.frozen",
            hint="leave out at least the head",
        )
    rest(backbone, paths)


def rest(backbone: nn.Module, paths: Sequence[str]) -> None:
    """Put frozen modules into evaluation mode: batch norms keep their statistics, nothing drops."""
    for path in paths:
        backbone.get_submodule(path).eval()
