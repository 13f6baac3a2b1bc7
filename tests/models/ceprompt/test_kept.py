"""What is kept of either stage: trainings go on exactly, checkpoints and exports answer alike."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.explain import grid_of
from fer_lab.models import CEPrompt
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.models.exporting import exported_program, with_probabilities
from tests.models.batches import batch, loader, trainer
from tests.models.ceprompt.small import (
    CLASSES,
    RATE,
    SIDE,
    batches,
    shaken,
    small,
)


def finished(folder, epochs, resumed=None, file=None, **options):
    torch.manual_seed(0)
    model = small(weights=file, optimizer=RATE, prompt_epochs=2, **options)
    kept = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, auto_insert_metric_name=False)
    fit = trainer(max_epochs=epochs, callbacks=[kept], enable_checkpointing=True)
    data = loader(*batches(3, 4))
    fit.fit(model, data, data, ckpt_path=resumed, weights_only=True)
    return model, fit


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("broken_off", [1, 2, 3])
def test_a_training_broken_off_in_either_stage_goes_on_exactly(published, tmp_path, broken_off):
    whole, fit = finished(tmp_path / "whole", 4, file=published[1], tuned_blocks=1)
    finished(tmp_path / "first", broken_off, file=published[1], tuned_blocks=1)
    (last,) = (tmp_path / "first").glob(f"{broken_off - 1}.ckpt")
    resumed, again = finished(tmp_path / "rest", 4, str(last), published[1], tuned_blocks=1)
    assert torch.equal(resumed.backbone.stage, torch.tensor(1))
    states = resumed.state_dict()
    assert all(torch.equal(states[name], value) for name, value in whole.state_dict().items())
    assert fit.callback_metrics["val/loss"] == again.callback_metrics["val/loss"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", [2, 5])
def test_an_epoch_broken_off_in_either_stage_goes_on_exactly(published, tmp_path, step):
    same = loader(*batches(1, 4) * 3)
    kept = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    states = []
    for resumed in (None, str(tmp_path / f"step={step}.ckpt")):
        torch.manual_seed(0)
        model = small(weights=published[1], optimizer=RATE, tuned_blocks=1)
        options = {"enable_checkpointing": True, "callbacks": [kept]} if resumed is None else {}
        fit = trainer(max_epochs=3, **options)
        fit.fit(model, same, ckpt_path=resumed, weights_only=True)
        assert fit.global_step == 9
        states.append(model.state_dict())
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_of_both_stages_answer_without_any_file(published, tmp_path, image):
    model = small(weights=published[1], optimizer=RATE)
    data = loader(*batches(1))
    for epochs, stage in ((1, 0), (2, 1)):
        fit = trainer(max_epochs=epochs)
        fit.fit(model, data)  # without validation, so that nothing else embeds the prompts
        file = tmp_path / f"{stage}.ckpt"
        fit.save_checkpoint(file, weights_only=True)
        loaded = load_checkpoint(file)
        assert dict(loaded.hparams) == dict(model.hparams)
        assert int(loaded.backbone.stage) == stage
        assert loaded.backbone.distilling == bool(stage)
        assert torch.equal(loaded(image), model.eval()(image))
        # Nothing of the text tower is asked.
        held = torch.load(file, weights_only=True)["state_dict"]["backbone.class_embeddings"]
        assert torch.equal(held, model.backbone.class_embeddings)
        del loaded.backbone.text
        assert torch.equal(loaded(image), model(image))
        model.train()


@pytest.mark.slow
def test_the_exported_model_of_either_stage_gives_the_same_probabilities(published, image):
    model = shaken(small(weights=published[1], tuned_blocks=1))
    for _stage in range(2):
        whole = with_probabilities(model)
        program = exported_program(whole, SIDE)
        torch.testing.assert_close(program.module()(image), whole(image), atol=1e-4, rtol=1e-4)
        assert whole(image).std(0).min() > 1e-4
        model.backbone.begin_distilling()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_model_of_full_size_takes_a_step_in_each_stage(tmp_path):
    torch.manual_seed(0)
    model = CEPrompt(3, classes=CLASSES, prompt_epochs=1)
    sample = batch(2, 224, 3)
    fit = trainer(max_epochs=2)
    fit.fit(model, loader(sample))
    fit.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    loaded = load_checkpoint(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt").unlink()
    assert torch.equal(loaded(sample["image"]), model.eval()(sample["image"]))
    assert grid_of(loaded) == (14, 14)
