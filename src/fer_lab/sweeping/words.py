"""What Hydra is shown when a run or a sweep goes on: the words it was begun with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lab.errors import ConfigError, DataError
from fer_lab.processes import agreed
from fer_lab.trust import MULTIRUN, refuse_foreign_settings, refuse_foreign_words


def names_a_sweep(overrides: Sequence[str]) -> bool:
    """Whether ``resume=`` is about a sweep, not one run."""
    from fer_lab.sweeping.folder import SWEEP

    (wanted, *_) = (word for word in overrides if word.startswith("resume="))
    folder = Path(wanted.removeprefix("resume=").strip("'\"")).expanduser()
    return bool({*MULTIRUN} & {*overrides}) or (folder / SWEEP).is_file()


def sweep_again(task: str, overrides: Sequence[str]) -> list[str]:
    """What Hydra was shown when the sweep began, with the folder that it was given then."""
    from fer_lab.sweeping.folder import SWEEP, find_sweep

    (wanted, *others) = (word for word in overrides if word not in MULTIRUN)
    if others:
        raise ConfigError(
            "a sweep goes on as it was begun, with nothing else set",
            where=" ".join([wanted, *others]),
            hint="give resume=FOLDER alone, or start a new sweep",
        )
    folder, asked = find_sweep(wanted.removeprefix("resume=").strip("'\""))
    if asked["task"] != task or task != "train":
        raise ConfigError(
            f"that is a sweep of fer-lab {asked['task']}; sweeps of trainings alone are resumed",
            where=folder,
            hint="fer-lab train --multirun resume=FOLDER",
        )
    refuse_foreign_words(asked["words"], folder / SWEEP)
    words = [word for word in asked["words"] if not word.startswith("hydra.sweep.dir=")]
    # Hydra would write over the configuration of a run before it is compared.
    return [*words, f"hydra.sweep.dir={quoted(str(folder))}", "hydra.output_subdir=null"]


def run_again(overrides: list[str]) -> list[str]:
    """Continue in a run's folder with the configuration that is stored there."""
    from fer_lab.configuration import config_directory
    from fer_lab.record import find_resumable
    from fer_lab.report.run import load_run

    wanted = next(word for word in overrides if word.startswith("resume="))

    def newest() -> str:
        return str(find_resumable(wanted.removeprefix("resume=")).path.resolve())

    folder = Path(agreed("run to resume", newest))
    refuse_foreign_settings(folder / ".hydra" / "config.yaml", overrides)
    name = load_run(folder).name
    if "${" in name:  # which Hydra would follow
        raise DataError("the run's name is none", where=folder / "run.json")
    return [
        "--config-path",
        str(folder / ".hydra"),
        "--config-name",
        "config",
        f"hydra.searchpath=[{quoted(f'file://{config_directory()}')}]",
        "hydra/job_logging=fer_lab",
        "hydra/hydra_logging=none",
        "hydra.job.name=train",
        "hydra.output_subdir=null",
        f"hydra.run.dir={quoted(str(folder))}",
        f"resume={quoted(str(folder))}",
        f"name={quoted(name)}",
        *(word for word in overrides if word != wanted),
    ]


def as_typed(overrides: Any) -> list[str]:
    """Hydra's list of overrides with ``${…}`` in them as it stands: what it means is the job's."""
    from omegaconf import OmegaConf

    words: Any = OmegaConf.to_container(overrides, resolve=False)
    return [str(word) for word in words]


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
