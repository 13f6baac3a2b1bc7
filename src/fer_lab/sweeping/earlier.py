"""What an earlier try of a sweep left of a job: skipped, continued, or put aside and redone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from fer_lab.errors import ConfigError, DataError
from fer_lab.record import RECORD
from fer_lab.report.run import load_run

ASIDE = ".replaced"


class Todo(StrEnum):
    """What is left to do of a job."""

    RUN = "run"
    SKIP = "skip"
    RESUME = "resume"
    REDO = "redo"


def configuration_digest(cfg: DictConfig) -> str:
    """What tells two jobs' configurations apart: a hash of them, ``resume`` left out."""
    own = cfg.copy()
    with open_dict(own):
        own.pop("resume", None)
    return hashlib.sha256(OmegaConf.to_yaml(own, sort_keys=True).encode()).hexdigest()[:16]


def what_is_left(cfg: DictConfig, folder: Path, *, continued: bool) -> Todo:
    """Look at a job's folder before the job is begun.

    Args:
        cfg: the job's configuration.
        folder: its folder.
        continued: whether the sweep was begun earlier.

    Raises:
        ConfigError: if the job still runs, or a new sweep's folder has runs of another.
    """
    if not (folder / RECORD).is_file():
        return Todo.RUN
    try:
        run = load_run(folder)
    except DataError:
        return _redone(folder, continued=continued)
    if run.status == "running":
        raise ConfigError(
            f"that job still runs, as process {run.record.get('pid')} on {run.record.get('host')}",
            where=folder,
            hint="stop it first, or wait for it",
        )
    known: Mapping[str, Any] = run.record.get("sweep") or {}
    last = (folder / "checkpoints" / "last.ckpt").is_file()
    if (
        known.get("configuration") == configuration_digest(cfg)
        and (run.status == "finished" or (run.status == "interrupted" and last))
        and run.record.get("fingerprint") == _fingerprint(cfg)
    ):
        return Todo.SKIP if run.status == "finished" else Todo.RESUME
    return _redone(folder, continued=continued)


def put_aside(folder: Path) -> Path:
    """Move what an earlier try left out of the way of a new one.

    Returns:
        Where it is now.
    """
    place = folder.parent / ASIDE
    place.mkdir(exist_ok=True)
    number = 1
    while (place / f"{folder.name}-{number}").exists():
        number += 1
    moved = folder.rename(place / f"{folder.name}-{number}")
    folder.mkdir()
    return moved


def write_configuration(folder: Path, cfg: DictConfig) -> None:
    """``.hydra/``, which Hydra itself would write over that of a run that is to be looked at."""
    settings = HydraConfig.instance().cfg
    assert settings is not None
    place = folder / ".hydra"
    place.mkdir(exist_ok=True)
    (place / "config.yaml").write_text(OmegaConf.to_yaml(cfg), encoding="utf-8")
    (place / "hydra.yaml").write_text(OmegaConf.to_yaml(settings), encoding="utf-8")
    words = OmegaConf.to_yaml(HydraConfig.get().overrides.task)
    (place / "overrides.yaml").write_text(words, encoding="utf-8")


def _redone(folder: Path, *, continued: bool) -> Todo:
    if continued:
        return Todo.REDO
    raise ConfigError(
        "that folder holds a run of another sweep",
        where=folder,
        hint="go on with that sweep by resume=FOLDER, or choose another hydra.sweep.dir",
    )


def _fingerprint(cfg: DictConfig) -> str:
    """Of the data as they are now."""
    from hydra.utils import instantiate

    datamodule = instantiate(cfg.data, _convert_="all")
    datamodule.prepare_data()
    datamodule.setup("fit")
    return str(datamodule.fingerprint)
