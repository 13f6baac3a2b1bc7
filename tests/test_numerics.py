"""Precision and repeatability: what is refused, and that a process is as before."""

from __future__ import annotations

import os

import pytest
import torch
from omegaconf import OmegaConf

from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN
from fer_lab.numerics import refuse_arithmetic, repeatable
from tests.models.batches import batch, loader, trainer

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def configured(**options):
    return OmegaConf.create({"trainer": {"accelerator": "cpu", "precision": "32-true", **options}})


def put(accumulate: bool = False) -> torch.Tensor:
    """An operation whose result depends on the order of its writes, on any device."""
    return torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]), accumulate)


def switches() -> tuple:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )


@pytest.mark.parametrize("benchmark", [True, False])
@pytest.mark.parametrize("asked", [True, "warn"])
def test_switches_are_on_inside_and_as_before_after(monkeypatch, asked, benchmark):
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
    before = switches()
    with repeatable(asked):
        assert switches() == (True, asked == "warn", False, ":4096:8")
    assert switches() == before
    with pytest.raises(ValueError, match="anything"), repeatable(asked):
        raise ValueError("anything")
    assert switches() == before


def test_a_workspace_of_the_users_own_is_kept(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with repeatable(True):
        assert os.environ[WORKSPACE] == ":16:8"
    assert os.environ[WORKSPACE] == ":16:8"


def test_what_somebody_switched_on_before_stays_on():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with repeatable(False):
            assert switches()[:2] == (True, True)
        with repeatable(True):
            assert switches()[:2] == (True, False)
        assert switches()[:2] == (True, True)
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_operation_without_a_repeatable_form_names_the_option():
    class Unrepeatable(BaselineCNN):
        def training_step(self, batch, batch_idx):
            put()
            return super().training_step(batch, batch_idx)

    with (
        pytest.raises(ConfigError, match="put_ has no repeatable form") as caught,
        repeatable(True),
    ):
        trainer().fit(Unrepeatable(image_size=8), loader(batch(2, size=8)))
    assert caught.value.where == "deterministic=true"
    assert "deterministic=warn" in caught.value.hint
    with repeatable("warn"), pytest.warns(UserWarning, match="deterministic"):
        put()
    with repeatable(True):
        assert float(put(accumulate=True)[0]) == 3
    with repeatable(False):
        put()


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="size"), repeatable(True):
        torch.zeros(2) + torch.zeros(3)


def test_another_word_is_refused():
    with pytest.raises(ConfigError, match="deterministic=always"), repeatable("always"):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "16-mixed"}, "a CPU does not train in float16"),
        ({"precision": 16}, "a CPU does not train in float16"),
        ({"precision": "16-mixed", "accelerator": "auto"}, "a CPU does not train in float16"),
        ({"precision": "bf16-true"}, "did you mean bf16-mixed"),
        ({"precision": "64-true"}, "no training in precision 64-true"),
        ({"precision": "b16-mixed"}, "did you mean bf16-mixed"),
        ({"gradient_clip_algorithm": "norms"}, "did you mean norm"),
        ({"gradient_clip_algorithm": "agc"}, "not clipped by agc"),
    ],
)
def test_arithmetic_that_cannot_work_is_refused(options, said):
    if options.get("accelerator") == "auto" and torch.accelerator.is_available():
        pytest.skip("there is a device that trains in float16")
    with pytest.raises(ConfigError, match=said):
        refuse_arithmetic(configured(**options), "train")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": 32},
        {"precision": "bf16-mixed"},
        {"precision": "bf16"},
        {"precision": "16-mixed", "accelerator": "gpu"},
        {"gradient_clip_algorithm": "value"},
        {"gradient_clip_algorithm": None},
    ],
)
def test_arithmetic_that_works_is_accepted(options):
    refuse_arithmetic(configured(**options), "train")


def test_only_a_training_is_in_mixed_precision():
    refuse_arithmetic(configured(), "evaluate")
    refuse_arithmetic(OmegaConf.create({"seed": 1}), "ask")
    with pytest.raises(ConfigError, match="every figure is computed in float32"):
        refuse_arithmetic(configured(precision="bf16-mixed"), "evaluate")
