"""Two stages in one training: what learns in each, from what, on one process and on two."""

from __future__ import annotations

import logging
from typing import ClassVar

import numpy as np
import pytest
import scipy.special
import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_lightning import Callback

from fer_lab.callbacks.averaging import WeightAverage
from fer_lab.data import SyntheticDataModule
from fer_lab.models import CEPrompt
from fer_lab.models.ceprompt.distillation import Lesson, distillation
from fer_lab.models.layer_groups import grouped
from tests.models.batches import batch, loader, trainer
from tests.models.ceprompt.small import (
    CLASSES,
    DEPTH,
    RATE,
    SIDE,
    SmallPrompt,
    batches,
    parts,
    shaken,
    small,
)


class Snapshots(Callback):
    """The state before the training and after each epoch, and what had a gradient."""

    def __init__(self):
        self.states, self.learned = [], []

    def on_fit_start(self, trainer, pl_module):
        self.keep(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.stepped = {n for n, p in pl_module.named_parameters() if p in optimized(trainer)}

    def on_train_epoch_end(self, trainer, pl_module):
        self.keep(pl_module)
        self.learned.append(self.stepped)

    def keep(self, model):
        self.states.append({name: value.clone() for name, value in model.state_dict().items()})

    def changed(self, epoch):
        before, after = self.states[epoch], self.states[epoch + 1]
        return {name for name in after if not torch.equal(after[name], before[name])}


def optimized(trainer):
    return set(trainer.optimizers[0].state)


SAM = {"name": "sam", "base": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", [RATE, SAM])
def test_prompts_learn_first_and_then_the_visual_classifier_alone(published, optimizer):
    model = small(weights=published[1], optimizer=optimizer, tuned_blocks=1, prompt_epochs=2)
    seen = Snapshots()
    trainer(max_epochs=4, callbacks=[seen]).fit(model, loader(*batches()), loader(*batches()))
    prompts = parts(model, "backbone.prompts")
    visual = parts(model, "backbone.image.tuned", "backbone.head")
    embedded = {"backbone.class_embeddings"}
    assert {n for n, p in model.named_parameters() if p.requires_grad} == prompts | visual
    assert seen.changed(0) >= prompts
    assert seen.changed(1) == prompts | embedded
    # The embeddings of the last prompts are taken when the second stage begins.
    assert seen.changed(2) - embedded == visual | {"backbone.stage"}
    assert seen.changed(3) == visual
    assert seen.learned[1] == prompts
    assert [int(state["backbone.stage"]) for state in seen.states] == [0, 0, 0, 1, 1]
    with torch.no_grad():
        found = model.backbone.text(model.backbone.prompts.text())
    torch.testing.assert_close(found, model.backbone.class_embeddings)


def test_the_distance_to_the_teacher_is_that_of_scipy():
    rng = np.random.default_rng(0)
    logits, embedding, taught = rng.normal(size=(5, 3)), rng.normal(size=(5, 8)), rng.random((5, 8))
    scores = rng.uniform(-1, 1, (5, 3))
    expected = []
    for row in range(5):
        teacher = scipy.special.softmax(scores[row] / 0.2)
        pupil = scipy.special.softmax(logits[row])
        one = embedding[row] / np.linalg.norm(embedding[row])
        other = taught[row] / np.linalg.norm(taught[row])
        apart = sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 8
        expected.append(scipy.special.rel_entr(teacher, pupil).sum() + apart)
    lesson = Lesson(*map(torch.from_numpy, (logits, embedding, scores, taught)))
    assert distillation(lesson, 0.2).numpy() == pytest.approx(np.array(expected))


def test_the_loss_is_that_of_labels_and_in_the_second_stage_of_the_teacher(published):
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0])
    given = batch(4, SIDE, 3, weight=weight)
    model = small(
        weights=published[1], distillation=0.5, temperature=0.3, label_smoothing=0.2, tuned_blocks=1
    )

    def labelled(logits):
        each = F.cross_entropy(logits, given["label"], reduction="none", label_smoothing=0.2)
        return (each * weight).sum() / 6

    torch.testing.assert_close(model.training_step(given, 0), labelled(model(given["image"])))
    model.backbone.begin_distilling()
    shaken(model.backbone.head)
    model.second_pass = True
    loss = model.training_step(given, 0)
    assert model.backbone.lesson is None
    logits = model(given["image"])
    distance = (distillation(model.backbone.lesson, 0.3) * weight).sum() / 6
    torch.testing.assert_close(loss, labelled(logits) + 0.5 * distance)
    assert distance > 0.01
    # The first step alone was counted.
    assert model._training_figures.sums()[2] == 4
    # An image that two faces share weighs as both do.
    both = {"second_label": given["label"].roll(1), "second_share": torch.full((4,), 0.25)}
    both["second_weight"] = weight.roll(1)
    mixed = given | both
    alone = super(CEPrompt, model).training_loss(logits, mixed)
    weights = 0.75 * weight + 0.25 * weight.roll(1)
    model(given["image"])
    distances = distillation(model.backbone.lesson, 0.3)
    expected = alone + 0.5 * (distances * weights).sum() / weights.sum()
    torch.testing.assert_close(model.training_loss(logits, mixed), expected)


@pytest.mark.filterwarnings("ignore")
def test_of_averaged_weights_the_prompts_are_those_that_are_embedded(published):
    class Embedded(Callback):
        found: ClassVar[list[bool]] = []

        def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
            network = pl_module.backbone
            right = network.text(network.prompts.text())
            self.found.append(torch.allclose(right, network.class_embeddings, atol=1e-5))

    model = small(weights=published[1], optimizer={"name": "adam", "lr": 0.1}, prompt_epochs=5)
    seen = [Embedded(), WeightAverage(0.9)]
    trainer(max_epochs=3, callbacks=seen).fit(model, loader(*batches()), loader(*batches(1)))
    assert Embedded.found == [True] * 3


def test_blocks_learn_slower_than_the_head_and_the_prompts():
    model = small(tuned_blocks=2)
    groups, _ = grouped(model, {"lr": 1.0, "layer_decay": 0.5})
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(each)]: group["lr"] for group in groups for each in group["params"]}
    for part, rate in {
        "image.tuned.0": 0.25,
        "image.tuned.1": 0.5,
        "head": 1,
        "prompts": 1,
    }.items():
        assert {found[name] for name in parts(model, f"backbone.{part}")} == {rate}


class Losses(Callback):
    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append(float(outputs["loss"]))


@pytest.mark.filterwarnings("ignore")
def test_both_stages_learn_eight_synthetic_faces():
    names = ["happy", "sad", "surprise"]
    data = SyntheticDataModule(
        train=8, val=8, test=8, image_size=SIDE, batch_size=8, classes=names, num_workers=0
    )
    torch.manual_seed(0)
    model = small(classes=names, prompt_epochs=4, tuned_blocks=1)
    losses = Losses()
    trainer(max_epochs=12, callbacks=[losses]).fit(model, data)
    assert losses.found[3] < losses.found[0]
    assert losses.found[11] < losses.found[4]


@pytest.mark.filterwarnings("ignore")
def test_random_towers_and_a_stage_that_is_never_reached_are_said(caplog):
    with caplog.at_level(logging.WARNING, "fer_lab"):
        trainer(max_epochs=1).fit(small(), loader(*batches(1, 2)))
    assert "frozen and random" in caplog.text
    assert "prompts learn for 1 epochs and the training has 1" in caplog.text


class Shared(SmallPrompt):
    """Learns from this process' share of each batch."""

    def train_dataloader(self):
        rank, count = self.trainer.global_rank, self.trainer.world_size
        mine = [{name: value[rank::count] for name, value in b.items()} for b in batches(2, 4)]
        return loader(*mine)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {"tuned_blocks": 0},
        # The distance to a teacher that is still the same has a gradient of rounding alone.
        {"tuned_blocks": 1, "distillation": 0.0},
    ],
)
def test_two_processes_learn_in_both_stages_what_one_learns(published, options):
    states = []
    rule = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}
    for several in ({}, {"strategy": "ddp_spawn", "devices": 2}):
        torch.manual_seed(0)
        model = Shared(
            3,
            classes=CLASSES,
            prompt_depth=DEPTH,
            prompt_epochs=1,
            weights=published[1],
            optimizer=rule,
            **options,
        )
        trainer(max_epochs=3, use_distributed_sampler=False, **several).fit(model)
        states.append(model.state_dict())
    assert int(states[1]["backbone.stage"]) == 1
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-5, rtol=1e-3)
