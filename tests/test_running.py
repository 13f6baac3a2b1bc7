"""Which callbacks a configuration asks for."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_lab.callbacks import Explanations, IntensityRanks
from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.running import build_callbacks


@pytest.fixture
def composed(tmp_path):
    """The configuration of a training in a folder of its own, as a task gets it."""
    register_resolvers()

    def compose_with(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            cfg = compose("train", list(overrides), return_hydra_config=True)
        cfg.hydra.runtime.output_dir = str(tmp_path)
        HydraConfig.instance().set_config(cfg)
        return cfg

    return compose_with


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), {Explanations}),
        (("explain=lrp",), {Explanations, IntensityRanks}),
        (("explain.intensity=true",), {Explanations, IntensityRanks}),
        (("explain=none",), set()),
        (("explain=none", "explain.intensity=true"), set()),
        (("callbacks=none", "explain=lrp"), set()),
    ],
)
def test_what_explains_is_there_when_it_is_asked_for(composed, overrides, expected):
    built = {type(each) for each in build_callbacks(composed(*overrides))}
    assert built & {Explanations, IntensityRanks} == expected


@pytest.mark.parametrize("option", ["gradcam", "lime", "lrp", "occlusion", "none"])
def test_every_callback_takes_its_options(composed, option):
    (explanations,) = [
        each
        for each in build_callbacks(composed(f"explain={option}"))
        if isinstance(each, Explanations)
    ] or [None]
    assert (explanations is None) == (option == "none")
    if option == "lime":
        assert (explanations.max_test_samples, explanations.check_samples) == (70, 14)
