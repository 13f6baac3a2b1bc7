"""What the tasks that leave a run folder share: record and W&B around them, callbacks, a report."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_lab.configuration import fit_processes, refuse_with_sharded_weights
from fer_lab.errors import FerLabError, user_mistake
from fer_lab.importing import import_large
from fer_lab.numerics import refuse_arithmetic, repeatable
from fer_lab.processes import ending_together, is_first

if TYPE_CHECKING:
    import pandas as pd
    from pytorch_lightning import Callback, Trainer

    from fer_lab.data.datamodule import FaceDataModule
    from fer_lab.record import RunRecord
    from fer_lab.tracking import Tracker

log = logging.getLogger(__name__)

_EXPLAINING = ("explanations", "intensity")  # callbacks that explain=none leaves out
_EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 130}


@dataclass
class Session:
    """A run while it goes on.

    Attributes:
        folder: where it leaves its facts.
        record: its ``run.json``.
        primary: whether this is the first process of the job.
        logger: W&B, where it is asked for, on the first process.
    """

    folder: Path
    record: RunRecord
    primary: bool = True
    logger: Tracker | None = None

    def start_tracking(self, cfg: DictConfig) -> None:
        """Start W&B, once the configuration has been found to make sense."""
        from fer_lab.tracking import start_wandb

        if self.primary:
            self.logger = start_wandb(cfg, self.folder, self.record)

    def list_unreadable(self, files: pd.DataFrame) -> None:
        """Leave ``unreadable.csv`` where image files were set aside, and say so.

        Args:
            files: ``id``, ``path`` and ``reason`` of each.
        """
        from fer_lab.files import atomic_path

        if self.primary and len(files):
            place = self.folder / "unreadable.csv"
            with atomic_path(place) as temporary:
                files.to_csv(temporary, index=False)
            log.warning("%s image files cannot be read, see %s", f"{len(files):,}", place)

    def say_inferred(self, sources: Mapping[str, str]) -> None:
        """Let W&B's names say which attributes a model inferred.

        Args:
            sources: where each attribute comes from.
        """
        from fer_lab.data.predictions import is_inferred

        if self.logger is not None:
            self.logger.inferred = [name for name, origin in sources.items() if is_inferred(origin)]


@contextmanager
def run_session(cfg: DictConfig, folder: Path, task: str) -> Iterator[Session]:
    """A run from its first record to its report, however it ends.

    Args:
        cfg: the composed configuration, with ``name``, ``tags``, ``notes``, ``seed`` and
            ``logger``.
        folder: the run's folder, which exists.
        task: what is run.

    Yields:
        The session. What the block raises is recorded (``failed`` and why, or ``interrupted``)
        and raised again.
    """
    from fer_lab.record import only_process

    primary = is_first()
    with only_process(folder) if primary else nullcontext():
        yield from _session(cfg, folder, task, primary=primary)


def _session(cfg: DictConfig, folder: Path, task: str, *, primary: bool) -> Iterator[Session]:
    """`run_session`, where the folder is this process's or the first one's of the job."""
    from fer_lab.files import remove_unfinished
    from fer_lab.record import RunRecord

    _quiet(primary=primary)
    if primary:
        remove_unfinished(folder)
    record = RunRecord(folder, _identity(cfg, task), write=primary)
    session = Session(folder, record, primary)
    status, reason = "failed", None
    try:
        with (
            ending_together(folder),
            _deaths_by_name(),
            repeatable(cfg.get("deterministic", False)),
        ):
            fit_processes(cfg)
            refuse_with_sharded_weights(cfg)
            refuse_arithmetic(cfg, task)
            yield session
        status = "finished"
    except KeyboardInterrupt as error:
        status, reason = "interrupted", str(error) or "stopped by Ctrl-C"
        raise
    except BaseException as error:
        known = user_mistake(error) or error
        reason = f"{type(known).__name__}: {known}"
        raise
    finally:
        try:
            record.close(status, reason)
        except OSError as error:
            log.error("%s cannot be written: %s", folder / "run.json", error.strerror)
            if status == "finished":
                raise
        if primary:
            _report(session, status)
        if session.logger is not None:
            session.logger.finish(_EXIT_CODES[status])


def build_callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks named in ``cfg.callbacks``; one set to null, or not explained, is left out."""
    from hydra.utils import instantiate

    explained = cfg.explain.get("method") is not None
    return [
        instantiate(part, _convert_="all")
        for name, part in cfg.callbacks.items()
        if part is not None and (explained or name not in _EXPLAINING) and part.get("enabled", True)
    ]


def data_facts(datamodule: FaceDataModule) -> dict[str, Any]:
    """What a record says about the data of a run."""
    return {
        "fingerprint": datamodule.fingerprint,
        "target": datamodule.target,
        "classes": list(datamodule.classes),
        "groups": {name: list(groups) for name, groups in datamodule.groups.items()},
        "data": {
            "train": len(datamodule.train_rows),
            "val": len(datamodule.val_rows),
            "test": len(datamodule.test_rows),
            "dropped": dict(datamodule.dropped),
        },
    }


def mask_facts(callbacks: Sequence[Callback]) -> dict[str, Any]:
    """What a record says of where region masks came from; nothing where none were looked for."""
    from fer_lab.callbacks import Explanations

    found = [each for each in callbacks if isinstance(each, Explanations) and each.began]
    return {"region_source": found[0].explainer.masks.facts()} if found else {}


def logged_figures(trainer: Trainer) -> dict[str, float]:
    """What the last pass has logged, as plain numbers."""
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def defined(figures: dict[str, float]) -> dict[str, float]:
    """The figures that are numbers: a record is strict JSON."""
    return {name: value for name, value in figures.items() if value == value}


def _identity(cfg: DictConfig, task: str) -> dict[str, Any]:
    """What is known of a run before it starts; a resumed run keeps the choices it was made of."""
    from fer_lab.record import command_line
    from fer_lab.sweeping.job import sweep_facts

    choices = {
        group: option
        for group, option in HydraConfig.get().runtime.choices.items()
        if not group.startswith(("hydra", "local")) and "@" not in group and option is not None
    }
    if "dataset" in cfg and "dataset" not in choices:  # Hydra names no option for several at once
        choices["dataset"] = "+".join(map(str, cfg.dataset.sources))
    identity: dict[str, Any] = {
        "name": cfg.name,
        "task": task,
        "seed": cfg.seed,
        "tags": list(cfg.tags),
        "notes": cfg.notes,
    }
    if sweep_facts() is not None:
        identity["sweep"] = sweep_facts()
    if cfg.get("resume") is None:
        identity |= {"choices": choices, "command": command_line()}
    return identity


@contextmanager
def _deaths_by_name() -> Iterator[None]:
    """Say what has ended a run from outside.

    Lightning turns Ctrl-C and SIGTERM into ``SystemExit``; torch says in passing, wherever the run
    is at that moment, that a loading process has died.
    """
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    try:
        yield
    except SIGTERMException as error:
        raise KeyboardInterrupt("stopped by SIGTERM") from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise FerLabError(
            f"a loading process has died: {str(error).splitlines()[0].strip()}",
            where="data.num_workers",
            hint="perhaps for want of memory: try fewer, or 0; resume=FOLDER goes on from the "
            "last checkpoint",
        ) from error


def _report(session: Session, status: str) -> None:
    """Figures, page, W&B pictures, and what the terminal ends with.

    A report that cannot be made takes nothing from the run: the facts are written by then.
    """
    from rich.console import Console

    from fer_lab.report.figures import write_figures
    from fer_lab.report.page import write_page
    from fer_lab.report.run import load_run
    from fer_lab.report.tables import summary
    from fer_lab.sweeping.job import sweep_facts
    from fer_lab.tracking import send_report

    folder = session.folder
    console = Console(stderr=status != "finished")
    try:
        run = load_run(folder)
        figures = write_figures(run)
        page = write_page(run)
        if session.logger is not None:
            send_report(session.logger, run, figures)
        if status == "finished" and sweep_facts() is None:  # a sweep ends with one table of all
            console.print(summary(run))
        console.print(f"report: {page}", soft_wrap=True, highlight=False)
    except OSError as error:
        log.error("the report could not be made: %s; the run's facts are in %s", error, folder)
    except Exception:
        log.exception("the report could not be made; the run's facts are in %s", folder)
    if status != "finished":
        kept = sorted(path.name for path in (folder / "checkpoints").glob("[!.]*.ckpt"))
        lines = [f"run {status}: {folder}", *([f"  kept: {', '.join(kept)}"] if kept else [])]
        if status == "interrupted" and session.record.content["task"] == "train":
            lines.append(f"  go on: fer-lab train resume='{folder}'")
        console.print("\n".join(lines), soft_wrap=True, highlight=False)


def _quiet(*, primary: bool) -> None:
    """Silence what libraries say about themselves; warnings about the user's data stay.

    Of several processes only the first speaks.
    """
    if not primary:
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
    import_large("pytorch_lightning")  # sets its own level when it is first imported
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in (
        r".*does not have many workers.*",
        r".*sync_dist=True.*",  # what is logged is summed over the processes by then
        r".*torch\.distributed\.nn\.functional.*is deprecated.*",
        r".*number of training batches.*",
        r".*Checkpoint directory.*exists and is not empty.*",
        r".*LeafSpec.*",
        r".*pynvml.*",
        r".*module\(s\) in eval mode.*",
        r".*isinstance\(treespec.*",
        r".*resuming from a checkpoint that ended before the epoch.*",  # samplers skip what is done
    ):
        warnings.filterwarnings("ignore", pattern)
