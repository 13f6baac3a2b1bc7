"""A sweep's folder: ``sweep.json`` says what was asked for, ``.jobs/`` how far each job came."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lab.confidential import refuse_stored_secrets
from fer_lab.configuration import unresolved
from fer_lab.errors import ConfigError, DataError, FerLabError
from fer_lab.files import write_json
from fer_lab.places import unwritable
from fer_lab.sweeping.plugins import quiet_search
from fer_lab.sweeping.sharing import processors_of_a_job, threads_are_given
from fer_lab.sweeping.words import as_typed

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
        processors: of each job, as in `processors_of_a_job`.
        threads_given: whether ``OMP_NUM_THREADS`` says how many threads each job has.
        begun: when this try of it began; its jobs' records say that of theirs.
    """

    task: str
    words: list[str]
    continued: bool = False
    folder: Path | None = None
    swept: list[str] = field(default_factory=list)
    processors: int | None = None
    threads_given: bool = False
    begun: str = ""

    def begin(self, config: DictConfig) -> None:
        """Make the folder and say in it what was asked for; earlier words about jobs are dropped.

        Args:
            config: of the whole sweep.

        Raises:
            ConfigError: if a new sweep would go into the folder of another.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # and leave out epochs as repeated lines
        # Not Path.resolve, which has an error of its own for links in a circle.
        folder = Path(os.path.realpath(str(config.hydra.sweep.dir)))
        folder.mkdir(parents=True, exist_ok=True)
        if not self.continued:
            _claim(folder)
        self.folder = folder
        self.swept = swept_keys(config)
        self.processors = processors_of_a_job(config)
        self.threads_given = threads_are_given()
        self.begun = datetime.now(UTC).isoformat()
        if "direction" in config.hydra.sweeper:
            quiet_search()
        if self.continued:
            shutil.rmtree(self.folder / JOBS, ignore_errors=True)
        else:
            content = {
                "task": self.task,
                "words": self.words,
                "swept": self.swept,
                "begun": self.begun,
            }
            write_json(self.folder / SWEEP, content)
        what = f"sweep: {self.folder}"
        if "submitit_folder" in config.hydra.launcher:
            what += "; what its jobs print is in .submitit there"
        print(what, file=sys.stderr, flush=True)

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


class Refused(BaseException):
    """A mistake that a callback has found: Hydra turns anything less into a warning.

    Args:
        mistake: what is wrong.
    """

    def __init__(self, mistake: FerLabError) -> None:
        super().__init__(mistake)
        self.mistake = mistake


class SweepFolder(Callback):
    """Looks at what Hydra has composed before it writes that down, and begins a sweep."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Refuse a configuration with secrets in it."""
        try:
            refuse_stored_secrets(OmegaConf.to_container(config, resolve=False))
        except FerLabError as error:
            raise Refused(error) from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Refuse likewise, and tell the process that a sweep begins and where."""
        self.on_run_start(config)
        sweep = _asked.get()
        if sweep is not None:
            try:
                sweep.begin(config)
            except FerLabError as error:
                raise Refused(error) from error
            except OmegaConfBaseException as error:
                raise Refused(unresolved(error)) from error
            except HydraException as error:
                raise Refused(ConfigError(str(error).splitlines()[0])) from error
            except OSError as error:
                mistake = unwritable(error.filename, error.errno, "hydra.sweep.dir")
                raise Refused(mistake) from error


def _claim(folder: Path) -> None:
    """Take a folder for a new sweep; of two that begin within one second one alone has it."""
    try:
        (folder / SWEEP).open("x").close()
    except FileExistsError as error:
        raise ConfigError(
            "that folder holds a sweep already",
            where=folder,
            hint="go on with it by resume=FOLDER, or choose another hydra.sweep.dir",
        ) from error


def swept_keys(config: DictConfig) -> list[str]:
    """What a sweep varies: overrides of several values, and the sweeper's own parameters."""
    given = OverridesParser.create().parse_overrides(as_typed(config.hydra.overrides.task))
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
