"""Options that a model does not have are refused by name, before anything is loaded."""

from __future__ import annotations

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import OmegaConf, open_dict

from fer_lab.cli import TASKS, _as_overrides
from fer_lab.configuration import group_options
from fer_lab.errors import ConfigError
from fer_lab.model_building import accepted_options, refuse_unknown_options
from fer_lab.models import POSTER, CLIPZeroShot, ResNet50, TimmClassifier
from fer_lab.report.run import load_run
from fer_lab.train import train
from tests.test_configuration import composed

SHARED = {"num_classes", "classes", "weights", "optimizer", "scheduler", "label_smoothing"}


@pytest.fixture
def chosen():
    """Lets Hydra know which options were chosen, as in a run."""
    instance = HydraConfig.instance()

    def compose(*overrides: str):
        cfg = composed(*overrides)
        instance.set_config(cfg)
        return cfg

    yield compose
    instance.cfg = None


def test_a_recipe_for_another_model_is_refused_with_what_to_leave_out(chosen):
    with pytest.raises(ConfigError) as caught:
        refuse_unknown_options(chosen("recipe=intensity", "model=resnet50"))
    assert caught.value.what == "ResNet50 has no option dropout, new_classifier"
    assert caught.value.where == "model.dropout, model.new_classifier"
    assert "recipe=intensity may set what another model has" in caught.value.hint
    assert "~model.dropout ~model.new_classifier" in caught.value.hint


def test_a_training_says_so_before_it_reads_anything(chosen, tmp_path):
    cfg = chosen("recipe=intensity", "model=resnet50", "dataset=affectnet", "name=refused")
    with pytest.raises(ConfigError, match="no option dropout, new_classifier"):
        train(cfg, tmp_path)
    record = load_run(tmp_path).record
    assert record["status"] == "failed"
    assert "ResNet50 has no option" in record["error"]


def test_what_the_error_says_makes_it_work(chosen):
    words = ("~model.dropout", "~model.new_classifier", "model.frozen=[]")
    cfg = chosen("recipe=intensity", "model=resnet50", *words)
    refuse_unknown_options(cfg)
    assert cfg.model.optimizer.weight_decay == 1e-3


def test_a_misspelt_option_names_the_one_that_was_meant(chosen):
    with pytest.raises(ConfigError, match=r"did you mean model\.dropout for droput\?"):
        refuse_unknown_options(chosen("+model.droput=0.3"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("++model.optimizer={lrr: 1}", "did you mean lr?"),
        ("++model.optimizer.layer_decay=2", r"in \(0, 1\], not 2"),
        ("++model.scheduler={name: cosine, warmpu: 0.1}", "did you mean warmup?"),
    ],
)
def test_options_of_optimizer_and_schedule_are_looked_at_before_anything_is_read(override, said):
    with pytest.raises(ConfigError, match=said):
        refuse_unknown_options(composed(override))


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("model.scheduler={name: cosine, warmup: 0.05}", "model.scheduler.warmup", 0.05),
        ("model.scheduler.warmup=0.05", "model.scheduler.warmup", 0.05),
        ("model.optimizer={name: sam, base: adam}", "model.optimizer.base", "adam"),
        ("model.optimizer.layer_decay=0.75", "model.optimizer.layer_decay", 0.75),
        ("model.optimizer.lr=0.5", "model.optimizer.lr", 0.5),
    ],
)
def test_options_of_optimizer_and_schedule_need_no_plus_on_the_command_line(word, key, value):
    cfg = composed(*_as_overrides(TASKS["train"], [word]))
    assert OmegaConf.select(cfg, key) == value
    refuse_unknown_options(cfg)


@pytest.mark.parametrize("option", group_options()["model"])
def test_every_option_of_model_sets_what_its_model_has(option):
    cfg = composed(f"model={option}")
    if not cfg.model.get("asked"):  # there is nothing to build
        refuse_unknown_options(cfg)


def test_options_of_bases_and_of_the_architecture_are_known():
    assert accepted_options(ResNet50) == {*SHARED, "image_size", "frozen"}
    assert accepted_options(TimmClassifier) == {*SHARED, "image_size", "frozen", "name"}
    assert {"size", "drop_path", "image_weights", "landmark_weights"} < accepted_options(POSTER)
    assert {"templates", "words", "quick_gelu"} < accepted_options(CLIPZeroShot)


def own(num_classes: int, **anything: object) -> None:
    """A function in place of a class."""


def test_a_model_that_takes_anything_is_given_it():
    assert accepted_options(own) is None
    cfg = composed("+model.anything=1")
    with open_dict(cfg):
        cfg.model._target_ = f"{__name__}.own"
    refuse_unknown_options(cfg)


def test_hydra_itself_says_that_there_is_no_such_class():
    cfg = composed()
    cfg.model._target_ = "fer_lab.models.Nothing"
    refuse_unknown_options(cfg)
    with pytest.raises(ImportError):
        get_class(cfg.model._target_)
