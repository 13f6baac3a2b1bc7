"""Whether an attribution depends on what the model has learned: its weights drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fer_lab.explain import perturbation
from fer_lab.explain.rank_correlation import spearman

Explain = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Randomisation(NamedTuple):
    """How much of an attribution is left when the model forgets what it learned.

    Attributes:
        modules: paths of the modules after which attributions are compared, in the order in which
            they are drawn anew; with ``cascading=False`` all of them, drawn at once.
        correlation: Spearman's, of the attribution before and after, ``[S, N]``; one row a module,
            or one row in all. NaN where one of the two is constant.
        chance: Spearman's correlation of the attribution with a random map, ``[N]``.
    """

    modules: list[str]
    correlation: Tensor
    chance: Tensor


def randomisation_check(
    model: nn.Module,
    explain: Explain,
    image: Tensor,
    target: Tensor,
    *,
    cascading: bool = True,
    modules: Sequence[str] | None = None,
    points: int | None = None,
    seed: int = 0,
    map_seed: int | Sequence[int] | None = None,
) -> Randomisation:
    """Correlation of attributions before and after the model's weights are drawn anew.

    It must fall towards ``chance``: an attribution that stays alike shows the image, not the model.
    The model has its own weights again afterwards.

    Args:
        model: image -> logits.
        explain: ``(model, image, target) -> [N, H, W]``, such as `fer_lab.explain.attribute`.
        image: float ``[N, 3, H, W]``.
        target: class that is explained, int64 ``[N]``.
        cascading: one module after the other, each beside those before it; else all at once.
        modules: paths of what is drawn anew, each with all that is in it; by default every module
            with parameters of its own, from the last defined (the head) to the first.
        points: how often at most attributions are compared on the way, evenly from the first module
            to the last; None compares after each.
        seed: of the weights.
        map_seed: of the random maps, each image's own or one for their places in the batch; None
            is ``seed``.

    Raises:
        ValueError: for a module that there is not, or a model without parameters.

    Source: Adebayo et al. 2018, cascading and full randomisation of the model's parameters.
    """
    known = dict(model.named_modules())
    own = [name for name, part in known.items() if list(part.parameters(recurse=False))]
    chosen = list(modules) if modules is not None else own[::-1]
    missing = [name for name in chosen if name not in known]
    if missing or not chosen:
        lacking = repr(missing[0]) if missing else "with parameters"
        raise ValueError(f"{type(model).__name__} has no module {lacking}")
    before = explain(model, image, target).flatten(1)
    last = len(chosen) - 1
    steps = torch.linspace(last, 0, points or len(chosen)) if cascading else torch.tensor([last])
    compared = {round(each) for each in steps.tolist()}
    rows = []
    with _restored(model), torch.random.fork_rng(range(torch.cuda.device_count())):
        for position, name in enumerate(chosen):
            torch.manual_seed(seed + position)
            _draw_anew(known[name])
            if position in compared:
                rows.append(spearman(before, explain(model, image, target).flatten(1)))
    draws = perturbation.generators(seed if map_seed is None else map_seed, len(image))
    chance = spearman(before, perturbation.random_maps(image, draws).flatten(1))
    named = [chosen[position] for position in sorted(compared)] if cascading else chosen
    return Randomisation(named, torch.stack(rows), chance)


@contextmanager
def drawn_anew(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """The model as if it had never learned anything inside, as it was before after.

    Args:
        model: any; modules with an initialisation of their own are drawn by it.
        seed: of the weights.
    """
    with _restored(model), torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        _draw_anew(model)
        yield


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Whatever happens to parameters and buffers inside, they are as before afterwards."""
    # A copy of the model would copy the trainer that a LightningModule may hang on.
    kept = [(each, each.detach().clone()) for each in (*model.parameters(), *model.buffers())]
    try:
        yield
    finally:
        with torch.no_grad():
            for each, value in kept:
                each.copy_(value)


@torch.no_grad()
def _draw_anew(module: nn.Module) -> None:
    """As the layers' own initialisation does; parameters without one keep mean and spread."""
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            continue
        for parameter in part.parameters(recurse=False):
            noise = torch.randn_like(parameter)
            parameter.copy_(parameter.mean() + noise * parameter.std(correction=0))
