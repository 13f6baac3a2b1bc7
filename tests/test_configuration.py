"""Every option of every group composes, and the sentences of the design mean what they say."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lab.configuration import (
    config_directory,
    fresh_folder,
    group_options,
    register_resolvers,
    unresolved,
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


def name(*overrides: str) -> str:
    cfg = composed(*overrides)
    HydraConfig.instance().set_config(cfg)
    try:
        return str(cfg.name)
    finally:
        HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("", "synthetic-mixed-baseline_cnn-s1"),
        ("dataset=affectnet split=female model=resnet50", "affectnet-female-resnet50-s1"),
        ("split.folds=5 split.fold=2 seed=3", "synthetic-mixed-baseline_cnn-fold2-s3"),
        ("split.folds=5", "synthetic-mixed-baseline_cnn-fold0-s1"),
        ("target=gender", "synthetic-mixed-baseline_cnn-gender-s1"),
        ("test_split=male", "synthetic-mixed-baseline_cnn-on-male-s1"),
        (
            "dataset=[affectnet,rafdb] split.leave_out=rafdb model=resnet50",
            "affectnet+rafdb-mixed-resnet50-without-rafdb-s1",
        ),
        (
            "recipe=olate_baseline population=fair",
            "synthetic-mixed-baseline_cnn-fair-olate_baseline-s1",
        ),
        ("name=mine", "mine"),
    ],
)
def test_a_run_is_named_after_what_is_not_usual(overrides, expected):
    assert name(*overrides.split()) == expected


@pytest.mark.parametrize(
    "swept",
    [
        ("split.folds=3 split.fold=0", "split.folds=3 split.fold=1"),
        ("split=female test_split=male", "split=female test_split=female"),
        ("target=expression", "target=race"),
        ("seed=1", "seed=2"),
    ],
)
def test_runs_of_a_sweep_have_different_names(swept):
    names = [name(*overrides.split()) for overrides in swept]
    assert len(set(names)) == len(names)


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


def test_a_mistake_that_a_resolver_finds_keeps_its_own_words():
    register_resolvers()
    cfg = OmegaConf.create(
        {"ways": "${directions:${what}}", "what": {"maximize": ["test/accuracy"]}}
    )
    cfg.what.minimize = []
    with pytest.raises(OmegaConfBaseException) as caught:
        _ = cfg.ways
    assert str(unresolved(caught.value)) == (
        "test/accuracy is no figure of the validation faces, which alone may choose\n"
        "  where: objectives.maximize\n"
        "  to do: objectives.maximize=[val/accuracy]"
    )
    with pytest.raises(OmegaConfBaseException) as caught:
        _ = OmegaConf.create({"a": {"b": "${nothing.here}"}}).a.b
    assert str(unresolved(caught.value)) == (
        "Interpolation key 'nothing.here' not found\n  where: a.b"
    )
