"""Weights & Biases: one run for each of ours, offline unless it is asked for otherwise."""

from __future__ import annotations

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import WandbLogger

from fer_lab.confidential import masked
from fer_lab.errors import ConfigError
from fer_lab.report.frames import confusion_frame, gap_frame, group_frame
from fer_lab.report.logged import said_inferred, summary_figures

if TYPE_CHECKING:
    from fer_lab.record import RunRecord
    from fer_lab.report.run import Run

log = logging.getLogger(__name__)

# What W&B is told unless the environment says otherwise. By itself it waits 90 seconds for a server
# that cannot be reached, and at the end of a run without a limit; what is not sent stays on disk.
# Its reports of errors of its own would go out even from an offline run.
_WANDB = {"SILENT": "true", "CONSOLE": "off", "INIT_TIMEOUT": "30", "FINISH_TIMEOUT": "600"}
_WANDB |= {"ERROR_REPORTING": "false"}
_LONGEST_TAG = 64  # characters; W&B refuses longer ones


class Tracker(WandbLogger):
    """W&B's logger; what is about groups that nobody annotated says so in its name.

    A run goes on without W&B when W&B's process dies: its facts are in the run's folder.

    Attributes:
        inferred: the attributes that a model inferred.
        lost: whether W&B has stopped taking anything.
    """

    inferred: Collection[str] = ()
    lost: bool = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures under names that say what is inferred."""
        named = {said_inferred(name, self.inferred): value for name, value in metrics.items()}
        with self.spared():
            super().log_metrics(named, step)

    def log_image(self, key: str, images: list[Any], step: int | None = None, **more: Any) -> None:
        """Log pictures."""
        with self.spared():
            super().log_image(key, images, step, **more)

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Log the model's options."""
        with self.spared():
            super().log_hyperparams(masked(params))

    def finish(self, exit_code: int) -> None:
        """End W&B's run."""
        import wandb

        with self.spared():
            self.experiment.finish(exit_code=exit_code)
        if self.lost:  # or W&B would look for its process once more as this one ends
            with suppress(Exception):
                wandb.teardown(exit_code)

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Go on behind a block that W&B has failed in, which is said once."""
        try:
            yield
        except Exception as error:
            if not (isinstance(error, OSError) or type(error).__module__.startswith("wandb.")):
                raise
            if not self.lost:
                log.warning("W&B has stopped, the run goes on without it: %s", error)
            self.lost = True


def start_wandb(cfg: DictConfig, folder: Path, record: RunRecord) -> Tracker | None:
    """The W&B logger of this run, or None without one; a resumed run goes on under its id.

    Args:
        cfg: the composed configuration; ``cfg.logger`` says how.
        folder: the run's folder, which W&B writes into.
        record: of the run; it learns the W&B id.

    Raises:
        ConfigError: when W&B does not start: it cannot be reached, or does not know the user.
    """
    if cfg.logger.kind == "none":
        return None
    for name, value in _WANDB.items():
        os.environ.setdefault(f"WANDB_{name}", value)
    import wandb

    from fer_lab.data.splitting.selection import plain

    sweep: Mapping[str, Any] = record.content.get("sweep") or {}
    choices = [choice[:_LONGEST_TAG] for choice in sweep.get("choices", ())]
    known: Mapping[str, Any] = record.content.get("wandb") or {}
    identity = known.get("id") or secrets.token_hex(4)
    try:
        run = wandb.init(
            dir=str(folder),
            name=cfg.name,
            id=identity,
            project=cfg.logger.project,
            entity=cfg.logger.entity,
            mode=cfg.logger.mode,
            group=cfg.logger.group or sweep.get("folder"),
            tags=list(dict.fromkeys([*cfg.tags, *choices])) or None,
            notes=cfg.notes,
            resume="allow" if known and cfg.logger.mode == "online" else None,
            config={
                **masked(plain(OmegaConf.to_container(cfg, resolve=True))),
                "choices": dict(record.content.get("choices") or {}),
                "git": dict(record.content.get("git") or {}),
            },
            # By itself it would keep the remote's address, which may hold a password.
            settings=wandb.Settings(disable_git=True),
        )
    except wandb.Error as error:
        raise ConfigError(
            f"W&B does not start: {str(error).splitlines()[0]}",
            where=f"logger.mode={cfg.logger.mode}",
            hint="with logger.mode=offline it needs neither account nor network, and `wandb sync` "
            "sends the run later; logger=none does without it",
        ) from error
    record.update(wandb={"id": identity, "mode": cfg.logger.mode, "path": run.settings.sync_dir})
    return Tracker(experiment=run)


def send_report(logger: Tracker, run: Run, figures: Sequence[Path]) -> None:
    """Send a run's pictures, its tables by group, and its figures that have intervals, to W&B."""
    import wandb

    sent: dict[str, Any] = {f"figures/{path.stem}": wandb.Image(str(path)) for path in figures}
    if run.headline_split is not None:
        facts = run.metrics_of(run.headline_split)
        frames = {"groups": group_frame, "gaps": gap_frame, "group_confusion": confusion_frame}
        sent |= {
            f"tables/{name}": wandb.Table(dataframe=frame)
            for name, build in frames.items()
            if len(frame := build(facts))
        }
    with logger.spared():
        if sent:
            logger.experiment.log(sent)
        logger.experiment.summary.update(summary_figures(run))
