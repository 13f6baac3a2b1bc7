"""A sweep's folder: ``sweep.json`` says what was asked for, ``.jobs/`` how far each job came."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError, DataError
from fer_lab.files import write_json

SWEEP = "sweep.json"
JOBS = ".jobs"


@dataclass
class Sweep:
    """What this process was asked for, and, once it turns out to be a sweep, where that is.

    Attributes:
        task: what its jobs are.
        words: what Hydra is shown.
        continued: whether the sweep was begun earlier.
        folder: the sweep's folder; None for a single run, and before a sweep begins.
        swept: the keys that its jobs differ in.
    """

    task: str
    words: list[str]
    continued: bool = False
    folder: Path | None = None
    swept: list[str] = field(default_factory=list)

    def begin(self, config: DictConfig) -> None:
        """Make the folder and say in it what was asked for; earlier words about jobs are dropped.

        Args:
            config: of the whole sweep.
        """
        self.folder = Path(str(config.hydra.sweep.dir)).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.swept = swept_keys(config)
        if self.continued:
            shutil.rmtree(self.folder / JOBS, ignore_errors=True)
        else:
            content = {
                "task": self.task,
                "words": self.words,
                "swept": self.swept,
                "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_json(self.folder / SWEEP, content)

    def choices(self, overrides: Sequence[str]) -> list[str]:
        """Those overrides of one job that tell it from the others."""
        plain = [word.lstrip("+") for word in overrides]
        return [word for word in plain if word.split("=", 1)[0] in self.swept]


_asked: ContextVar[Sweep | None] = ContextVar("asked", default=None)


@contextmanager
def watched(sweep: Sweep) -> Iterator[None]:
    """Let `SweepFolder` find what this process was asked for."""
    token = _asked.set(sweep)
    try:
        yield
    finally:
        _asked.reset(token)


class SweepFolder(Callback):
    """Tells the process that a sweep begins and where: Hydra alone composes that."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Begin the sweep."""
        sweep = _asked.get()
        if sweep is not None:
            sweep.begin(config)


def swept_keys(config: DictConfig) -> list[str]:
    """What a sweep varies: overrides of several values, and the sweeper's own parameters."""
    given = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    keys = [each.get_key_element() for each in given if each.is_sweep_override()]
    own = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return list(dict.fromkeys(str(key).lstrip("+") for key in [*keys, *own]))


def find_sweep(wanted: str, root: str = "multirun") -> tuple[Path, dict[str, Any]]:
    """The folder of a sweep to go on with, and its ``sweep.json``.

    Args:
        wanted: the folder, or ``last``: the newest below ``root``.
        root: where ``last`` looks.

    Raises:
        ConfigError: when there is no sweep.
        DataError: when its ``sweep.json`` is damaged.
    """
    if wanted == "last":
        found = sorted(Path(root).glob(f"*/*/{SWEEP}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise ConfigError(
                "no sweep to resume",
                where=Path(root).resolve(),
                hint="name its folder as resume=FOLDER",
            )
        folder = found[-1].parent
    else:
        folder = Path(wanted).expanduser()
    path = folder / SWEEP
    if not path.is_file():
        raise ConfigError(
            f"that folder holds no sweep: it has no {SWEEP}",
            where=folder.absolute(),
            hint="one run is resumed without --multirun: fer-lab train resume=FOLDER",
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = content["task"], [*content["words"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{SWEEP} is damaged", where=path, hint="start the sweep anew") from error
    return folder.resolve(), content


def write_state(sweep: Path, job: int, state: Mapping[str, Any]) -> None:
    """Say how far a job came, whichever process and machine it runs on."""
    write_json(sweep / JOBS / f"{job}.json", {"job": job, **state})


def job_states(sweep: Path) -> list[dict[str, Any]]:
    """What every job that was begun says of itself, by number."""
    files = (sweep / JOBS).glob("[0-9]*.json")
    states = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return sorted(states, key=lambda state: int(state["job"]))
