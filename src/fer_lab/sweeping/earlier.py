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
from fer_lab.files import atomic_path
from fer_lab.record import RECORD
from fer_lab.report.run import load_run

ASIDE = ".replaced"


class Todo(StrEnum):
    """What is left to do of a job."""

    RUN = "run"
    SKIP = "skip"
    RESUME = "resume"
    REDO = "redo"
    KEEP = "keep"


def configuration_digest(cfg: DictConfig) -> str:
    """What tells two jobs' configurations apart: a hash of them, ``resume`` left out."""
    own = cfg.copy()
    with open_dict(own):
        own.pop("resume", None)
    return hashlib.sha256(OmegaConf.to_yaml(own, sort_keys=True).encode()).hexdigest()[:16]


def what_is_left(
    cfg: DictConfig, folder: Path, *, continued: bool, begun: str = "", search: bool = False
) -> Todo:
    """Look at a job's folder before the job is begun.

    A job that this very try of the sweep has begun is one whose process died and which its launcher
    has started anew: Ray does, and a scheduler that needed the machine for others.

    Args:
        cfg: the job's configuration.
        folder: its folder.
        continued: whether the sweep was begun earlier.
        begun: when this try of the sweep began.
        search: whether a sweeper has chosen the job by the results of those before it.

    Raises:
        ConfigError: if the job still runs, or a new sweep's folder has runs of another.
    """
    if not (folder / RECORD).is_file():
        return Todo.RUN
    try:
        run = load_run(folder)
    except DataError:
        return _redone(folder, continued=continued)
    known: Mapping[str, Any] = run.record.get("sweep") or {}
    restarted = bool(begun) and known.get("begun") == begun
    status = "interrupted" if restarted and run.status == "running" else run.status
    if status == "running":
        raise ConfigError(
            f"that job still runs, as process {run.record.get('pid')} on {run.record.get('host')}",
            where=folder,
            hint="stop it first, or wait for it",
        )
    last = (folder / "checkpoints" / "last.ckpt").is_file()
    if known.get("configuration") == configuration_digest(cfg):
        if status == "failed" and search and continued and _was_followed(folder, known):
            return Todo.KEEP
        if (status == "finished" or (status == "interrupted" and last)) and run.record.get(
            "fingerprint"
        ) == _fingerprint(cfg):
            return Todo.SKIP if status == "finished" else Todo.RESUME
    return _redone(folder, continued=continued or restarted)


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
    written = {
        "config": cfg,
        "hydra": settings,
        "overrides": HydraConfig.get().overrides.task,
    }
    for name, content in written.items():
        with atomic_path(place / f"{name}.yaml") as temporary:
            temporary.write_text(OmegaConf.to_yaml(content), encoding="utf-8")


def _was_followed(folder: Path, known: Mapping[str, Any]) -> bool:
    """Whether a later job of a search has finished, which was chosen knowing that this one failed.

    If this one went well now, other jobs would be chosen, and what has finished be lost.
    """
    for path in folder.parent.glob(f"*/{RECORD}"):
        try:
            record = load_run(path.parent).record
        except DataError:
            continue
        job = (record.get("sweep") or {}).get("job", -1)
        if record.get("status") == "finished" and job > known.get("job", -1):
            return True
    return False


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
