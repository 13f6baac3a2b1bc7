"""What the tests of sweeps share."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from fer_lab.configuration import config_directory, register_resolvers

PLUGINS = {
    "joblib": "joblib_launcher",
    "submitit_local": "submitit_launcher",
    "submitit_slurm": "submitit_launcher",
    "ray": "ray_launcher",
}


def needs(launcher: str) -> None:
    """Skip where a launcher is not installed."""
    plugin = PLUGINS.get(launcher)
    if plugin is None:
        return
    try:
        found = find_spec(f"hydra_plugins.hydra_{plugin}")
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip(f"the launcher {launcher} is not installed")


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """The configuration of a training, with Hydra's own part, for some words."""

    def compose_words(*words: str) -> DictConfig:
        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            return compose("train", list(words), return_hydra_config=True)

    return compose_words
