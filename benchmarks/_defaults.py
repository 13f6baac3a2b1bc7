"""The configuration of a plain ``make train``, composed in this process."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from fer_lab.configuration import config_directory, register_resolvers


def quiet() -> None:
    """Silence what Lightning says about itself."""
    import pytorch_lightning  # noqa: F401 - sets its own level when it is first imported

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


@contextmanager
def default_run(*overrides: str) -> Iterator[tuple[DictConfig, Path]]:
    """The composed configuration and a folder for the run that goes away afterwards."""
    register_resolvers()
    with (
        tempfile.TemporaryDirectory() as folder,
        initialize_config_dir(str(config_directory()), version_base="1.3"),
    ):
        cfg = compose("train", list(overrides), return_hydra_config=True)
        with open_dict(cfg):
            cfg.hydra.runtime.output_dir = folder
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        yield cfg, Path(folder)
