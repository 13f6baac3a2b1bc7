"""The evaluation task: audit any checkpoint on any dataset, or a table of predictions alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import (
    refuse_audit_without_predictions,
    refuse_shared_root,
    refuse_unsafe_sweep,
    refuse_what_is_no_number,
)
from fer_lab.errors import ConfigError, DataError
from fer_lab.running import (
    Session,
    build_callbacks,
    data_facts,
    defined,
    logged_figures,
    mask_facts,
    run_session,
)

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from fer_lab.data.datamodule import FaceDataModule
    from fer_lab.report.run import Run

log = logging.getLogger(__name__)

_ATTRIBUTES = ("gender", "age", "race")
_BATCH_SIZE = 64
_ROWS = ("test", "val", "all")


def evaluate(cfg: DictConfig, folder: Path) -> None:
    """Evaluate as configured; what a test leaves behind is left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/evaluate.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration, the file or the data; the record then
            says ``failed`` and why.
    """
    from fer_lab.data.splitting.selection import plain

    cfg.name = cfg.name or _name(cfg)
    with run_session(cfg, folder, "evaluate") as session:
        refuse_what_is_no_number(cfg)
        if (cfg.predictions is None) == (cfg.checkpoint is None):
            raise ConfigError(
                "name what to evaluate: a file of predictions or a checkpoint, one of the two",
                where=f"predictions={cfg.predictions} checkpoint={cfg.checkpoint}",
                hint="fer-lab evaluate predictions=FILE, or checkpoint=FILE dataset=NAME",
            )
        if cfg.predictions is not None:
            session.start_tracking(cfg)
            _evaluate_file(cfg, session, plain(cfg.attributes))
        else:
            refuse_shared_root(cfg)
            refuse_unsafe_sweep(cfg)
            refuse_audit_without_predictions(cfg)
            evaluate_checkpoint(cfg, session)


def _name(cfg: DictConfig) -> str:
    if cfg.predictions is not None:
        return Path(str(cfg.predictions)).stem
    if cfg.checkpoint is None:
        return "evaluation"
    return checkpoint_name(cfg)


def checkpoint_name(cfg: DictConfig) -> str:
    """What a run over a checkpoint is called before more is known of it."""
    return f"{Path(str(cfg.checkpoint)).stem}-on-{cfg.dataset.name}"


def _evaluate_file(cfg: DictConfig, session: Session, attributes: list[str] | None) -> None:
    from fer_lab.data.predictions import read_prediction_file
    from fer_lab.data.splitting.selection import plain
    from fer_lab.files import atomic_path, write_json
    from fer_lab.metrics.provenance import audit_document

    path = Path(str(cfg.predictions)).expanduser()
    with session.record.timed("data"):
        predictions = read_prediction_file(
            path,
            columns=plain(cfg.columns),
            labels=plain(cfg.labels),
            classes=plain(cfg.classes),
            attributes=attributes,
            demographics_source=cfg.demographics_source,
        )
    for warning in predictions.warnings:
        log.warning("%s", warning)
    log.info("%s: %s samples of %s", cfg.name, f"{len(predictions.frame):,}", path)
    # Of all that was composed only the callbacks are used: no dataset, no explanation was chosen.
    frame = predictions.frame
    chosen = (
        {"dataset": "+".join(map(str, frame["dataset"].unique()))} if "dataset" in frame else {}
    )
    session.record.update(
        choices=chosen,
        predictions=str(path.absolute()),
        classes=list(predictions.classes),
        groups={name: list(groups) for name, groups in predictions.groups.items()},
        data={"test": len(predictions.frame), "dropped": {}},
    )
    with atomic_path(session.folder / "predictions" / "test.parquet") as temporary:
        predictions.frame.to_parquet(temporary, index=False)
    with session.record.timed("test"):
        facts = audit_document(predictions, "test", **audit_options(cfg))
    write_json(session.folder / "metrics" / "test.json", facts)
    session.record.update(summary=headline(facts))


def audit_options(cfg: DictConfig) -> dict[str, Any]:
    """How the callback would audit, without what only a callback needs."""
    from fer_lab.data.splitting.selection import plain

    if cfg.callbacks.get("fairness") is None:
        raise ConfigError(
            "there is nothing to do without the audit",
            where="callbacks.fairness=null",
            hint="leave it as it is: callbacks=evaluation",
        )
    own = ("_target_", "folder")
    return {name: plain(v) for name, v in cfg.callbacks.fairness.items() if name not in own}


def headline(facts: dict[str, Any]) -> dict[str, float]:
    """The scalars that a test logs, as far as the document has them."""
    found = {f"test/{name}": facts[name]["value"] for name in ("accuracy", "f1_macro")}
    found["test/worst_group_accuracy"] = facts["worst_group"]["accuracy"]
    found["test/fairness/bias"] = facts["bias"]["value"]
    for attribute, section in facts["attributes"].items():
        found[f"test/fairness/{attribute}/bias"] = section["bias"]["value"]
    return {name: value for name, value in found.items() if value is not None}


def evaluate_checkpoint(cfg: DictConfig, session: Session) -> None:
    """The linear part: model, data with the model's classes, callbacks, trainer, test.

    Args:
        cfg: the composed configuration, with ``checkpoint`` and ``rows``.
        session: of the run, which is going on.

    Raises:
        FerLabError: for a mistake in the configuration, the checkpoint or the data.
    """
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.target import EXPRESSION
    from fer_lab.models.checkpoints import load_checkpoint
    from fer_lab.record import find_checkpoint
    from fer_lab.report.caveat import trained_run

    if cfg.rows not in _ROWS:
        raise ConfigError(f"rows={cfg.rows}", where="rows", hint=f"choose {', '.join(_ROWS)}")
    seed_everything(cfg.seed, workers=True, verbose=False)
    path = find_checkpoint(str(cfg.checkpoint))
    run = trained_run(path)
    trained = {} if run is None else _configured(run)
    model = load_checkpoint(path, trained.get("model", {}).get("_target_"))
    if run is not None and session.record.content["name"] == checkpoint_name(cfg):
        cfg.name = f"{run.name}-on-{cfg.dataset.name}"
    session.record.update(
        name=cfg.name, checkpoint=str(path.absolute()), trained_run=_known_as(run)
    )
    classes = getattr(model, "classes", None)
    if classes is None:
        raise DataError("the checkpoint does not name its classes", where=path)
    target = cfg.target or trained.get("target") or EXPRESSION
    if cfg.classes is None:  # what the drawn faces show
        cfg.classes = list(classes) if target == EXPRESSION else 7
    recipe = trained.get("recipe", {})
    with session.record.timed("data"):
        datamodule: FaceDataModule = instantiate(
            cfg.data,
            _convert_="all",
            classes=list(classes),
            target=target,
            attributes=plain(cfg.attributes) or list(_ATTRIBUTES),
            image_size=cfg.recipe.image_size or model.image_size,
            batch_size=cfg.recipe.batch_size or recipe.get("batch_size") or _BATCH_SIZE,
        )
        datamodule.prepare_data()
        datamodule.setup("test")
    # By name: the model's order counts, whatever the dataset's is.
    if set(datamodule.classes) == set(classes):
        datamodule.classes = tuple(classes)
    choose_rows(datamodule, cfg.rows)
    for reason, rows in datamodule.dropped.items():
        log.info("%s rows set aside: %s", f"{rows:,}", reason)
    session.list_unreadable(datamodule.unreadable)
    facts = data_facts(datamodule)
    facts["data"] = {name: facts["data"][name] for name in ("test", "dropped")}
    session.record.update(**facts, rows=cfg.rows)
    session.start_tracking(cfg)
    session.say_inferred(datamodule.sources_of)
    callbacks = build_callbacks(cfg)
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        default_root_dir=str(session.folder),
        callbacks=callbacks,
        logger=session.logger or False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        inference_mode=True,
    )
    log.info(
        "%s: %s of %s on %s images of %s",
        cfg.name,
        type(model).__name__,
        path,
        f"{len(datamodule.test_rows):,}",
        cfg.dataset.name,
    )
    with session.record.timed("test"):
        trainer.test(model, datamodule=datamodule, verbose=False)
    session.record.update(summary=defined(logged_figures(trainer)), **mask_facts(callbacks))


def _configured(run: Run) -> dict[str, Any]:
    """What a run was configured to be, as it stands."""
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(run.config, resolve=False)
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}


def _known_as(run: Run | None) -> dict[str, str] | None:
    return None if run is None else {"name": run.name, "path": str(run.path)}


def choose_rows(datamodule: FaceDataModule, rows: str) -> None:
    """Make the rows that are asked for those that are tested."""
    import numpy as np

    from fer_lab.data.splitting.splits import where

    manifest = datamodule.manifest
    if rows != "test":
        wanted = where(manifest, datamodule.test_split.where)
        if rows == "val":
            wanted &= (manifest["split"] == "val").to_numpy()
        datamodule.test_rows = np.flatnonzero(wanted).astype(np.int64)
    if len(datamodule.test_rows) == 0:
        counts = ", ".join(f"{k} {n:,}" for k, n in manifest["split"].value_counts().items())
        raise DataError(
            f"the data have no {rows} rows",
            where=f"{', '.join(datamodule.sources)}: {counts}",
            hint="choose rows=test, rows=val or rows=all, or another test_split",
        )
