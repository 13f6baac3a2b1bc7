"""Searches on a real datamodule: what they find, where it goes, and what they leave untouched."""

from __future__ import annotations

import copy
import logging
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import seed_everything

from fer_lab.errors import ConfigError
from fer_lab.finding import find, refuse_searches
from fer_lab.model_building import build_model
from fer_lab.models import BaselineCNN
from fer_lab.record import RunRecord
from tests.test_configuration import composed

TINY = (
    *("dataset.train=30", "dataset.val=14", "dataset.test=14", "recipe.image_size=48"),
    *("recipe.batch_size=8", "trainer=cpu", "find.lr_steps=30", "find.lowest_lr=1e-5"),
)


@pytest.fixture(scope="module")
def data():
    module = instantiate(composed(*TINY).data, _convert_="all")
    module.setup("fit")
    return module


@pytest.fixture
def search(data, tmp_path, caplog):
    """Runs the searches of a configuration and returns all that they may have changed."""
    caplog.set_level(logging.INFO, logger="fer_lab.finding")

    def run(*overrides: str, found: dict | None = None, target: str | None = None):
        cfg = composed(*TINY, *overrides)
        if target is not None:
            cfg.model._target_ = target
        seed_everything(3, verbose=False)
        module = copy.copy(data)
        record = RunRecord(tmp_path, {} if found is None else {"found": found})
        session = SimpleNamespace(folder=tmp_path, record=record, logger=None)
        find(cfg, session, module)
        return SimpleNamespace(
            cfg=cfg, data=module, found=record.content.get("found"), folder=tmp_path
        )

    return run


def test_a_rate_is_found_written_drawn_and_used(search, caplog):
    options = ("find.lowest_lr=1e-4", "find.highest_lr=0.1", "find.lr_steps=60")
    result = search("find.lr=true", "model.dropout=0.0", *options)
    facts = result.found["lr"]
    assert facts["configured"] == 1e-3
    assert 1e-4 <= facts["value"] <= 1e-2
    assert result.cfg.model.optimizer.lr == facts["value"]
    table = pd.read_csv(result.folder / "metrics" / "learning_rate.csv")
    assert list(table) == ["learning_rate", "loss", "smoothed_loss"]
    assert len(table) == facts["steps"]
    assert facts["value"] == pytest.approx(
        table["learning_rate"][table["smoothed_loss"].idxmin()] / 10
    )
    assert (result.folder / "figures" / "learning_rate.png").stat().st_size > 1000
    assert "in place of 0.001: a tenth of" in caplog.text
    assert not list(result.folder.glob("**/*.ckpt"))
    model = build_model(result.cfg, result.data)
    assert model.optimizer_options["lr"] == facts["value"]


def test_the_searches_leave_generators_data_and_schedule_as_they_were(search, data):
    def state():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    seed_everything(3, verbose=False)
    before = state()
    result = search("find.lr=true", "find.batch_size=true", "find.max_batch_size=4")
    assert state() == before
    assert data.trainer is None
    assert (data.batch_size, data.eval_batch_size) == (8, 16)
    assert result.data.trainer is None
    assert result.cfg.model.scheduler.name == "one_cycle"
    order = [batch["index"].tolist() for batch in data.train_dataloader()]
    found = [i for batch in result.data.train_dataloader() for i in batch["index"].tolist()]
    assert found == [index for batch in order for index in batch]


def test_without_a_fall_the_configured_rate_stays_and_it_is_said(search, caplog):
    result = search("find.lr=true", "find.lowest_lr=1e-9", "find.highest_lr=1e-8")
    assert result.found["lr"]["value"] is None
    assert result.cfg.model.optimizer.lr == 1e-3
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "no learning rate can be suggested, 0.001 stays: the loss fell by" in warning
    assert (result.folder / "figures" / "learning_rate.png").is_file()


def test_a_resumed_run_uses_what_it_has_found_and_searches_no_more(search, caplog):
    known = {"lr": {"value": 0.0123}, "batch_size": {"value": 24}}
    options = ("find.lr=true", "find.batch_size=true", "find.max_batch_size=60")
    result = search(*options, found=known)
    assert result.cfg.model.optimizer.lr == 0.0123
    assert (result.data.batch_size, result.data.eval_batch_size) == (24, 48)
    assert not (result.folder / "metrics").exists()
    assert not caplog.records


def test_sam_several_groups_plateaus_and_accumulation_go_with_a_search(search):
    sam = "++model.optimizer={name: sam, base: adam, lr: 0.002, layer_decay: 0.7}"
    plateau = "++model.scheduler={name: plateau, warmup: 0.1}"
    assert search("find.lr=true", sam, plateau).found["lr"]["steps"] > 1
    adam = search("find.lr=true", "trainer.accumulate_grad_batches=2", "trainer.max_epochs=-1")
    assert adam.found["lr"]["steps"] > 1


@pytest.mark.parametrize(
    ("overrides", "size", "bound"),
    [
        (("find.max_batch_size=5",), 5, "find.max_batch_size"),
        (("find.max_batch_size=999", "find.batch_search=exact"), 30, "the training images"),
    ],
)
def test_the_batch_size_is_bounded_by_its_limit_and_the_training_images(
    search, overrides, size, bound
):
    result = search("find.batch_size=true", *overrides)
    facts = result.found["batch_size"]
    assert (facts["value"], facts["configured"], facts["limited_by"]) == (size, 8, bound)
    assert result.cfg.data.batch_size == result.data.batch_size == size
    assert result.data.eval_batch_size == 2 * size


class Hungry(BaselineCNN):
    """Asks for more memory than there is, for more than 11 images."""

    def training_step(self, batch, batch_idx):
        if len(batch["label"]) > 11:
            torch.empty(2**55, dtype=torch.uint8)
        return super().training_step(batch, batch_idx)


def test_sizes_that_run_out_of_memory_do_not_fit(search):
    options = ("find.batch_size=true", "find.max_memory=1000", "find.batch_search=exact")
    facts = search(*options, target=f"{__name__}.Hungry").found["batch_size"]
    assert (facts["value"], facts["limited_by"]) == (11, "memory")


class Wrong(BaselineCNN):
    """Fails for another reason."""

    def training_step(self, batch, batch_idx):
        raise RuntimeError("shapes do not match")


def test_other_errors_are_not_taken_for_a_lack_of_memory(search):
    with pytest.raises(RuntimeError, match="shapes do not match"):
        search("find.batch_size=true", "find.max_batch_size=8", target=f"{__name__}.Wrong")


def test_a_limit_below_what_the_process_takes_is_an_error_that_says_so(search):
    with pytest.raises(ConfigError, match=r"not even the smallest batch fits .* takes \d"):
        search("find.batch_size=true", "find.max_memory=0.05")


class Settled(BaselineCNN):
    """Has nothing to learn."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.requires_grad_(False)


def test_a_model_that_learns_nothing_is_refused(search):
    with pytest.raises(ConfigError, match="nothing in this model learns"):
        search("find.lr=true", target=f"{__name__}.Settled")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("find.batch_size=true",), "find.max_memory=8"),
        (("find.lr=true", "trainer=ddp", "trainer.devices=2"), "this training has 2"),
        (("find.lr=true", "model=clip_zero_shot"), "no learning rate to be found"),
        (("find.lr=0.01",), "neither true nor false"),
        (("find.lr_steps=5",), "whole number from 20 on"),
        (("find.lowest_lr=0",), "positive number"),
        (("find.highest_lr=1e-9",), "do not rise"),
        (("find.max_batch_size=big",), "whole number from 2 on"),
        (("find.batch_search=linear",), "choose power"),
    ],
)
def test_searches_that_cannot_work_are_refused_before_anything_is_loaded(overrides, said):
    cfg = composed("trainer=cpu", *overrides)
    with pytest.raises(ConfigError, match=said):
        refuse_searches(cfg)


def test_without_a_search_nothing_is_refused():
    refuse_searches(composed("trainer=ddp", "trainer.devices=2"))
