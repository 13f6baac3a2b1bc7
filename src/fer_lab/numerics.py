"""How numbers are computed: in which precision, and whether a second time gives the same ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig

from fer_lab.errors import ConfigError, near_miss

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_SHORT = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}

CLIPPING = ("norm", "value")

# What cuBLAS needs for repeatable sums: a workspace of fixed buffers, set before CUDA starts.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_BUFFERS = ":4096:8"

_UNREPEATABLE = "does not have a deterministic implementation"


def refuse_arithmetic(cfg: DictConfig, task: str) -> None:
    """Options of the trainer that Lightning would refuse late, or replace by others.

    Args:
        cfg: the composed configuration; without ``trainer`` there is nothing to refuse.
        task: what is run.

    Raises:
        ConfigError: for a precision that there is not, not on this device, or not in this task,
            and for another way of clipping.
    """
    if "trainer" not in cfg:
        return
    given = str(cfg.trainer.get("precision", "32-true"))
    precision = _SHORT.get(given, given)
    if precision not in PRECISIONS:
        raise ConfigError(
            f"there is no training in precision {given}" + _meant(given, PRECISIONS),
            where="trainer.precision",
            hint=f"choose {', '.join(PRECISIONS)}; weights and figures are float32 in all of them",
        )
    if precision != "32-true" and task != "train":
        raise ConfigError(
            "every figure is computed in float32; other precisions are for training",
            where=f"trainer.precision={given}",
            hint="leave it out",
        )
    if precision == "16-mixed" and _on_cpu(str(cfg.trainer.get("accelerator", "auto"))):
        raise ConfigError(
            "a CPU does not train in float16",
            where=f"trainer.precision={given}",
            hint="use trainer.precision=bf16-mixed, or a GPU",
        )
    clipping = cfg.trainer.get("gradient_clip_algorithm")
    if clipping not in (None, *CLIPPING):
        raise ConfigError(
            f"gradients are not clipped by {clipping}" + _meant(str(clipping), CLIPPING),
            where="trainer.gradient_clip_algorithm",
            hint=f"choose {' or '.join(CLIPPING)}",
        )


@contextmanager
def repeatable(asked: bool | str) -> Iterator[None]:
    """Only operations that give the same bits every time; everything is as before afterwards.

    Args:
        asked: False changes nothing; ``warn`` warns of operations that are not repeatable.

    Raises:
        ConfigError: for another word, and when an operation inside has no repeatable form.
    """
    if asked not in (False, True, "warn"):
        raise ConfigError(
            f"deterministic={asked}", where="deterministic", hint="choose true, false or warn"
        )
    if not asked:
        yield
        return
    import torch

    enabled = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    own_workspace = _WORKSPACE not in os.environ
    os.environ.setdefault(_WORKSPACE, _BUFFERS)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=asked == "warn")
    try:
        yield
    except RuntimeError as error:
        if _UNREPEATABLE not in str(error):
            raise
        operation = re.split(rf"\s+{_UNREPEATABLE}", str(error))[0].split()[-1]
        raise ConfigError(
            f"{operation} has no repeatable form on this device",
            where=f"deterministic={str(asked).lower()}",
            hint="use deterministic=warn to go on with a warning, or deterministic=false",
        ) from error
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        torch.backends.cudnn.benchmark = benchmark
        if own_workspace:
            del os.environ[_WORKSPACE]


def _on_cpu(accelerator: str) -> bool:
    """Whether the trainer will compute on the CPU."""
    if accelerator != "auto":
        return accelerator == "cpu"
    from fer_lab.models.prediction import torch_device

    return torch_device("auto").type == "cpu"


def _meant(given: str, known: tuple[str, ...]) -> str:
    near = near_miss(given, known)
    return f"; did you mean {near}?" if near else ""
