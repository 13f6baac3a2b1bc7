"""Every option of every group composes, and the sentences of the design mean what they say."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from fer_lab.configuration import (
    config_directory,
    fresh_folder,
    group_options,
    register_resolvers,
)
from fer_lab.errors import near_miss


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


OPTIONS = [
    (group, option)
    for group, options in group_options().items()
    if not group.startswith(("hydra", "local"))
    for option in options
]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_on_disk_composes(group, option):
    assert composed(f"{group}={option}") is not None


def test_the_groups_of_the_design_are_there():
    expected = {
        *("dataset", "split", "test_split", "model", "mitigation", "augment", "explain"),
        *("callbacks", "trainer", "logger"),
    }
    assert expected <= set(group_options())


def test_an_attribute_filter_needs_no_plus():
    cfg = composed("split.where.race=[black]")
    assert cfg.data.split.where.race == ["black"]


def test_the_split_leaves_the_test_set_mixed():
    cfg = composed("split=female")
    assert cfg.data.split.where.gender == ["female"]
    assert cfg.data.test_split.where.gender is None


def test_a_recipe_goes_over_the_models_own():
    cfg = composed("recipe=olate_baseline")
    assert cfg.model.optimizer.lr == pytest.approx(1e-4)
    assert (cfg.data.batch_size, cfg.trainer.max_epochs) == (32, 10)


def test_a_value_on_the_command_line_goes_over_everything():
    cfg = composed("recipe=olate_baseline", "recipe.batch_size=8", "model.optimizer.lr=0.5")
    assert (cfg.data.batch_size, cfg.model.optimizer.lr) == (8, 0.5)


def test_the_synthetic_population_is_chosen_by_name():
    assert composed("population=fair").dataset.sources.synthetic.population != (
        composed("population=biased").dataset.sources.synthetic.population
    )


def test_dataset_root_reaches_its_source():
    cfg = composed("dataset=affectnet", "dataset.root=/faces")
    assert cfg.data.sources.affectnet.root == "/faces"


def test_two_runs_of_one_second_do_not_share_a_folder(tmp_path):
    wanted = str(tmp_path / "12-00-00")
    fresh_folder.cache_clear()
    first = fresh_folder(wanted)
    assert fresh_folder(wanted) == first
    fresh_folder.cache_clear()
    assert fresh_folder(wanted) != first


def test_near_miss_names_only_what_is_near():
    assert near_miss("resnet5", ["resnet50", "vgg16"]) == "resnet50"
    assert near_miss("zzz", ["resnet50", "vgg16"]) is None
