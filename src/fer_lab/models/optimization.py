"""Optimizers and learning-rate schedules by name, from plain mappings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from fer_lab.errors import ConfigError, near_miss
from fer_lab.models import sam
from fer_lab.models.layer_groups import OPTIONS, check_groups

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}

_WARMUP = ("warmup", "initial")

SCHEDULERS: dict[str, tuple[str, ...]] = {
    "none": _WARMUP,
    "cosine": (*_WARMUP, "final"),
    "one_cycle": (*_WARMUP, "final"),
    "plateau": (*_WARMUP, "monitor", "mode", "factor", "patience", "min_lr"),
    "step": (*_WARMUP, "at", "factor"),
}

# What an option of a schedule must be, and whether a number is that.
_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "warmup": ("a share of the training in [0, 1)", lambda value: 0 <= value < 1),
    "initial": ("a share of the learning rate in (0, 1]", lambda value: 0 < value <= 1),
    "final": ("a share of the learning rate in [0, 1]", lambda value: 0 <= value <= 1),
    "factor": ("in (0, 1)", lambda value: 0 < value < 1),
    "patience": ("a number of epochs", lambda value: value >= 0 and value == int(value)),
    "min_lr": ("a learning rate or 0", lambda value: value >= 0),
    "at": ("shares of the training in (0, 1)", lambda value: 0 < value < 1),
}


def check_optimizer(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError if ``options`` name no optimizer or an option it does not have."""
    name = options.get("name")
    if name == sam.NAME:
        check_optimizer(sam.split_options(options)[1])
        return
    if name not in OPTIMIZERS:
        raise _unknown("optimizer", name, (*OPTIMIZERS, sam.NAME))
    known = set(inspect.signature(OPTIMIZERS[name]).parameters) - {"params"} | set(OPTIONS)
    _check_options("optimizer", name, set(options) - {"name"}, known)
    rate = options.get("lr", 1e-3)
    if not isinstance(rate, (int, float)) or not rate > 0:
        raise ConfigError(
            f"a learning rate is a positive number, not {rate!r}", where="model.optimizer.lr"
        )
    check_groups(options)


def check_scheduler(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError if ``options`` name no schedule or an option it does not have."""
    name = options.get("name")
    if name not in SCHEDULERS:
        raise _unknown("scheduler", name, SCHEDULERS)
    _check_options("scheduler", name, set(options) - {"name"}, set(SCHEDULERS[name]))
    for option in set(options) & set(_NUMBERS):
        kind, fits = _NUMBERS[option]
        given = options[option] if option == "at" else [options[option]]
        numbers = isinstance(given, Sequence) and not isinstance(given, str)
        if not numbers or not all(_is_number(value) and fits(value) for value in given):
            raise ConfigError(
                f"{option} is {kind}, not {options[option]!r}", where=f"model.scheduler.{option}"
            )
    if options.get("mode", "min") not in ("min", "max"):
        raise ConfigError(
            f"mode is min or max, not {options['mode']!r}", where="model.scheduler.mode"
        )
    if name == "one_cycle" and 0 in (options.get("warmup"), options.get("final")):
        raise ConfigError(
            "one_cycle rises first and does not end at 0",
            where="model.scheduler",
            hint="use model.scheduler.name=cosine for a schedule without either",
        )
    if "initial" in options and name != "one_cycle" and not options.get("warmup"):
        raise ConfigError(
            "nothing rises from `initial` without a warm-up",
            where="model.scheduler.initial",
            hint="set model.scheduler.warmup, the share of the steps that it takes: 0.05 for one",
        )


def build_optimizer(
    parameters: Iterable[nn.Parameter | dict[str, Any]], options: Mapping[str, Any]
) -> Optimizer:
    """The optimizer that ``options`` name: ``{name: adam | adamw | sgd, lr: …, …}``.

    Args:
        parameters: what it changes, or groups of it as torch takes them; what does not learn is
            left out of a plain list.
        options: ``name``, and those of torch's optimizer or of SAM.

    On a CPU the fused implementation is used unless ``fused`` says otherwise: the step takes a
    third of the time.
    """
    if options["name"] == sam.NAME:
        rho, inner = sam.split_options(options)
        return sam.SAM(build_optimizer(parameters, inner), rho=rho)
    trained = [each for each in parameters if isinstance(each, dict) or each.requires_grad]
    arguments = {key: value for key, value in options.items() if key != "name"}
    if all(parameter.device.type == "cpu" for parameter in _flat(trained)):
        arguments.setdefault("fused", True)
    if "betas" in arguments:
        arguments["betas"] = tuple(arguments["betas"])
    arguments.setdefault("lr", 1e-3)
    make: Callable[..., Optimizer] = OPTIMIZERS[options["name"]]
    return make(trained, **arguments)


def build_schedules(
    optimizer: Optimizer, options: Mapping[str, Any], trainer: pl.Trainer
) -> list[dict[str, Any]]:
    """The schedule that ``options`` name, as Lightning takes it; nothing for ``none``.

    - ``cosine``: from the learning rate to ``final`` (0) times it over the whole training.
    - ``one_cycle``: up from ``initial`` (0.1) times the learning rate during the share ``warmup``
      (0.15) of the steps, then down a cosine to ``final`` (0.001) times it.
    - ``plateau``: times ``factor`` (0.1) when ``monitor`` (val/loss) has not fallen (risen,
      with ``mode: max``) for ``patience`` (3) epochs, not below ``min_lr`` (0).
    - ``step``: times ``factor`` (0.1) at the shares ``at`` (1/3 and 2/3) of the training.
    - ``none``: as it is.

    All but ``one_cycle`` may begin by rising along a line from ``initial`` (0.1) times the learning
    rate, during the share ``warmup`` (0) of the steps; cosine falls during the rest of them.

    Groups of parameters keep their ratios; ``min_lr`` is that of the fastest. A plateau after a
    warm-up is two schedules, one a step and one an epoch, that multiply the same rate.

    Raises:
        ConfigError: for a schedule over the whole training when its length is not known.
    """
    name, warmup = options["name"], options.get("warmup", 0)
    if name == "one_cycle":
        return [{"scheduler": _one_cycle(optimizer, options, trainer), "interval": "step"}]
    steps = _steps(trainer, name) if warmup or name in ("cosine", "step") else 0
    rising, initial = round(warmup * steps), options.get("initial", 0.1)
    found: list[dict[str, Any]] = []
    if name == "plateau":
        rates = [group["lr"] for group in optimizer.param_groups]
        if rising:
            line = lr_scheduler.LinearLR(optimizer, start_factor=initial, total_iters=rising)
            found.append({"scheduler": line, "interval": "step"})
        return [*found, _plateau(optimizer, options, rates)]
    if rising or name != "none":
        shape = _shape(options, steps, rising)

        def factor(step: int) -> float:
            """By what the learning rate is multiplied in a step, counted from 0."""
            warm = 1.0 if step >= rising else initial + (1 - initial) * step / rising
            return warm * shape(step)

        found.append({"scheduler": lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"})
    return found


def _shape(options: Mapping[str, Any], steps: int, rising: int) -> Callable[[int], float]:
    """The factor of a schedule after its warm-up, by step."""
    if options["name"] == "cosine":
        final = options.get("final", 0.0)

        def cosine(step: int) -> float:
            done = min(max(step - rising, 0) / max(steps - rising, 1), 1.0)
            return float(final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)

        return cosine
    if options["name"] == "step":
        milestones = [round(share * steps) for share in options.get("at", (1 / 3, 2 / 3))]
        factor = options.get("factor", 0.1)
        return lambda step: float(factor ** sum(step >= each for each in milestones))
    return lambda _: 1.0


def _one_cycle(
    optimizer: Optimizer, options: Mapping[str, Any], trainer: pl.Trainer
) -> lr_scheduler.OneCycleLR:
    initial = options.get("initial", 0.1)
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=_steps(trainer, "one_cycle") + 1,
        pct_start=options.get("warmup", 0.15),
        div_factor=1 / initial,
        final_div_factor=initial / options.get("final", 0.001),
        cycle_momentum=False,
    )


def _plateau(
    optimizer: Optimizer, options: Mapping[str, Any], rates: Sequence[float]
) -> dict[str, Any]:
    lowest = options.get("min_lr", 0.0)
    return {
        "scheduler": lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode=options.get("mode", "min"),
            factor=options.get("factor", 0.1),
            patience=options.get("patience", 3),
            min_lr=[lowest * (rate / max(rates)) for rate in rates],
            # Reductions too small to matter would otherwise be left out, of slow groups alone.
            eps=0.0,
        ),
        "monitor": options.get("monitor", "val/loss"),
        "strict": False,
    }


def _steps(trainer: pl.Trainer, name: str) -> int:
    steps = trainer.estimated_stepping_batches
    if steps == float("inf"):
        raise ConfigError(
            f"the schedule {name!r} needs to know how long the training is",
            where="model.scheduler",
            hint="set trainer.max_epochs, or use plateau or none without a warm-up",
        )
    return max(int(steps), 1)


def _flat(parameters: Iterable[nn.Parameter | dict[str, Any]]) -> Iterator[nn.Parameter]:
    for each in parameters:
        if isinstance(each, dict):
            yield from each["params"]
        else:
            yield each


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"no {kind} is called {name!r}",
        where=f"model.{kind}.name",
        hint=f"choose one of {', '.join(known)}",
    )


def _check_options(kind: str, name: str, given: set[str], known: set[str]) -> None:
    wrong = sorted(given - known)
    if wrong:
        near = near_miss(wrong[0], known)
        meant = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"{kind} {name!r} has no option {', '.join(wrong)}",
            where=f"model.{kind}",
            hint=f"{meant}It takes {', '.join(sorted(known))}; drop what another one left: "
            + " ".join(f"~model.{kind}.{option}" for option in wrong),
        )
