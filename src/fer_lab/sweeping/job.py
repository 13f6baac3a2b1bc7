"""What Hydra calls for every job, here or in a process that a launcher has started elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fer_lab.configuration import register_resolvers, unresolved
from fer_lab.errors import FerLabError, user_mistake
from fer_lab.places import refuse_unwritable_folder
from fer_lab.sweeping.folder import Sweep, write_state
from fer_lab.sweeping.sharing import marked_lines, take_share
from fer_lab.sweeping.words import as_typed

log = logging.getLogger(__name__)

_of_sweep: ContextVar[dict[str, Any] | None] = ContextVar("of_sweep", default=None)


def sweep_facts() -> dict[str, Any] | None:
    """What a run's record says of the sweep it belongs to: folder, job, choices, digest, begin."""
    return _of_sweep.get()


@dataclass
class Job:
    """A task's function as Hydra calls it; launchers send it to other processes.

    In a sweep a job that fails says so and stops no other, whichever launcher it was started by:
    Hydra's own would end the sweep at the first, without a word about the others.

    Attributes:
        module: where the task's function is.
        task: its name.
        arguments: what further processes of the same job are started with.
        command: what was typed.
        sweep: what this process was asked for.
        mistake: what is wrong with a single run.
    """

    module: str
    task: str
    arguments: list[str]
    command: str
    sweep: Sweep
    mistake: FerLabError | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a process of its own, before Hydra composes the job's configuration there."""
        self.__dict__.update(state)
        register_resolvers()
        os.environ["HYDRA_FULL_ERROR"] = "1"
        os.environ.setdefault("FER_LAB_COMMAND", self.command)

    def __call__(self, cfg: DictConfig) -> float | list[float] | None:
        """Run the job in Hydra's folder for it.

        Returns:
            What a search wants to know: an objective or several, None where they do not count.
        """
        sys.argv = list(self.arguments)
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        if settings.mode == RunMode.MULTIRUN and self.sweep.folder is not None:
            take_share(self.sweep.processors, threads_given=self.sweep.threads_given)
            beside = settings.launcher._target_.endswith(("JoblibLauncher", "RayLauncher"))
            with marked_lines(f"{settings.job.num}: ") if beside else nullcontext():
                return self._in_sweep(cfg, folder, self.sweep.folder)
        function = getattr(import_module(self.module), self.task)
        try:
            if folder != Path.cwd():  # of tasks that leave nothing in a folder of theirs
                refuse_unwritable_folder(folder, "hydra.run.dir")
            function(cfg, folder)
        except Exception as error:
            # Hydra would print all overrides before a message that says what is wrong.
            self.mistake = user_mistake(error)
            if self.mistake is None:
                raise
        return None

    def _in_sweep(self, cfg: DictConfig, folder: Path, sweep: Path) -> float | list[float] | None:
        from fer_lab.report.run import load_run
        from fer_lab.sweeping.earlier import Todo, configuration_digest

        settings = HydraConfig.get()
        number = int(settings.job.num)
        choices = self.sweep.choices(as_typed(settings.overrides.task))
        state: dict[str, Any] = {"folder": str(folder), "choices": choices, "status": "running"}
        write_state(sweep, number, state)
        log.info("job %s: %s", number, " ".join(choices))
        token = _of_sweep.set(
            {
                "folder": sweep.as_posix(),
                "job": number,
                "choices": choices,
                "configuration": configuration_digest(cfg),
                "begun": self.sweep.begun,
            }
        )
        try:
            state["todo"] = todo = self._do(cfg, folder)
            state["status"] = "finished"
            if todo == Todo.KEEP:
                state |= {"status": "failed", "error": load_run(folder).record.get("error")}
        except KeyboardInterrupt:
            state["status"] = "interrupted"
            raise
        except Exception as error:
            known = user_mistake(error)
            if known is None and isinstance(error, OmegaConfBaseException):
                known = unresolved(error)
            state |= {"status": "failed", "error": f"{type(known or error).__name__}: {error}"}
            if known is None:
                log.exception("job %s failed", number)
            else:
                state["error"] = f"{type(known).__name__}: {known}"
                log.error("job %s failed: %s", number, known)
        finally:
            _of_sweep.reset(token)
            values = _objectives(cfg, folder, state)
            write_state(sweep, number, state)
        return values

    def _do(self, cfg: DictConfig, folder: Path) -> str:
        """Run what is left of a job.

        Returns:
            What was left.
        """
        from fer_lab.sweeping.earlier import Todo, put_aside, what_is_left, write_configuration

        todo = what_is_left(
            cfg,
            folder,
            continued=self.sweep.continued,
            begun=self.sweep.begun,
            search=_is_search(),
        )
        if todo in (Todo.SKIP, Todo.KEEP):
            log.info("%s before: %s", "finished" if todo == Todo.SKIP else "failed", folder)
            return todo
        if todo == Todo.REDO:
            moved = put_aside(folder)
            _reopen_log_files()
            log.info("what was in %s is in %s", folder, moved)
        if todo == Todo.RESUME:
            cfg.resume = str(folder)
        elif todo == Todo.REDO or self.sweep.continued:
            write_configuration(folder, cfg)
        getattr(import_module(self.module), self.task)(cfg, folder)
        return todo


def _objectives(cfg: DictConfig, folder: Path, state: dict[str, Any]) -> float | list[float] | None:
    """Add to ``state`` what a search wants to know of the job, and give it where it counts."""
    from fer_lab.sweeping.objectives import objective_values

    if not _is_search() or "objectives" not in cfg or state["status"] != "finished":
        return None
    found, left_out = objective_values(folder, cfg.objectives)
    maximized = len(cfg.objectives.maximize)
    state |= {"objectives": found, "left_out": left_out, "maximized": maximized}
    if left_out is not None:
        log.warning("%s is left out of the search: %s", folder, left_out)
        return None
    values = list(found.values())
    return values if len(values) > 1 else values[0]


def _reopen_log_files() -> None:
    """Let log files begin anew under their names: one that is open has moved with its folder."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.close()  # the next line opens it again


def _is_search() -> bool:
    return "direction" in HydraConfig.get().sweeper
