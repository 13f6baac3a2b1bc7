"""The asking task: a vision-language model's answers about faces, audited like any predictions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fer_lab.configuration import refuse_shared_root, refuse_what_is_no_number
from fer_lab.errors import ConfigError, DataError, FerLabError
from fer_lab.evaluate import audit_options, choose_rows
from fer_lab.interruptions import terminations_as_interrupts
from fer_lab.places import refuse_unwritable_file
from fer_lab.running import Session, data_facts, defined, run_session

if TYPE_CHECKING:
    from fer_lab.asking.asker import Asker, Face
    from fer_lab.data.datamodule import FaceDataModule

log = logging.getLogger(__name__)

_ROWS = ("test", "val", "all")
_READ_AT_ONCE = 8
# Parts of a training's configuration that are about learning, and what of them is not.
_OF_LEARNING = (
    *("recipe", "mitigation", "augment", "explain", "callbacks", "trainer"),
    *("deterministic", "compile"),
)
_OF_ASKING = ("recipe.image_size",)
# Options of the audit that its plain figures depend on.
_WITHOUT_DRAWS = ("min_count", "combine", "reduction", "balance")


def ask(cfg: DictConfig, folder: Path) -> None:
    """Ask as configured; answers, predictions and their audit are left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/ask.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration or the data, a server that cannot be
            asked, and a budget that is used up before all images are asked about; what is
            answered by then is kept, and audited.
    """
    name = str(OmegaConf.select(cfg, "server.model")).rsplit("/", 1)[-1]
    cfg.name = cfg.name or f"{name}-on-{cfg.dataset.name}"
    with run_session(cfg, folder, "ask") as session:
        refuse_what_is_no_number(cfg)
        refuse_shared_root(cfg)
        if not is_asked(cfg):
            raise ConfigError(
                "that model is not one that is asked in words",
                where=f"model={session.record.content['choices'].get('model')}",
                hint="fer-lab train model=… trains it, fer-lab evaluate checkpoint=… tests it; "
                "fer-lab ask needs model=vision_language, or an option like it",
            )
        if cfg.rows not in _ROWS:
            raise ConfigError(f"rows={cfg.rows}", where="rows", hint=f"choose {', '.join(_ROWS)}")
        session.record.update(rows=cfg.rows)
        ask_faces(cfg, session, cfg.rows)


def ask_in_training(cfg: DictConfig, session: Session) -> None:
    """What ``fer-lab train`` does with a model that is asked: its test rows are asked about.

    Args:
        cfg: the composed configuration of ``conf/train.yaml``.
        session: of the run, which is going on.

    Raises:
        FerLabError: as :func:`ask`, and for another target than expressions.
    """
    from fer_lab.data.splitting.target import EXPRESSION

    if cfg.target != EXPRESSION:
        raise ConfigError(
            "a vision-language model is asked about expressions alone",
            where=f"target={cfg.target}",
            hint="choose a model that learns, or target=expression",
        )
    ask_faces(cfg, session, without_effect=_without_effect(cfg))


def _without_effect(cfg: DictConfig) -> list[str]:
    """What was asked for and changes nothing, since nothing learns."""
    found = []
    for override in HydraConfig.get().overrides.task:
        key, _, value = override.lstrip("+~").partition("=")
        group, _, rest = key.partition(".")
        asked = key in _OF_ASKING or rest.startswith("fairness") or value in ("none", "null")
        if group in _OF_LEARNING and not asked:
            found.append(override)
    if any(wanted is not None for wanted in cfg.split.where.values()):
        found.append(f"split={cfg.split.name}")
    if found:
        log.warning("nothing learns here, so that this changes nothing: %s", ", ".join(found))
    return found


def is_asked(cfg: DictConfig) -> bool:
    """Whether the model is one that is asked in words: nothing of it is here to learn."""
    return bool(cfg.model.get("asked", False))


def ask_faces(
    cfg: DictConfig, session: Session, rows: str = "test", without_effect: Sequence[str] = ()
) -> None:
    """The linear part: options, data, journal, questions, tables, audit.

    Args:
        cfg: a composed configuration whose model is asked.
        session: of the run, which is going on.
        rows: of the dataset, ``test``, ``val`` or ``all``.
        without_effect: what was asked for and changes nothing.

    Raises:
        FerLabError: as :func:`ask`.
    """
    from fer_lab.asking.asker import Asker
    from fer_lab.asking.budget import Budget
    from fer_lab.asking.journal import Journal
    from fer_lab.asking.options import Limits, Question, Server
    from fer_lab.asking.outcomes import question_facts
    from fer_lab.data.progress import bar
    from fer_lab.data.splitting.selection import plain

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every request
    session.record.update(asked={})
    server, limits = Server.of(plain(cfg.server)), Limits.of(plain(cfg.budget))
    question = Question.of(plain(cfg.question))
    known = {**question_facts(server, question, limits), "without_effect": list(without_effect)}
    session.record.update(asked=known)
    options = audit_options(cfg)
    server.key()  # that it is there, before the data are read
    path = Path(str(cfg.journal)).expanduser() if cfg.journal else session.folder / "journal.jsonl"
    refuse_unwritable_file(path, "journal")
    with session.record.timed("data"):
        datamodule = _data(cfg, session, rows)
    facts = data_facts(datamodule)
    facts["data"] = {name: facts["data"][name] for name in ("test", "dropped")}
    session.record.update(**facts, name=cfg.name)
    session.start_tracking(cfg)
    session.say_inferred(datamodule.sources_of)
    journal = Journal(path)
    if journal.torn:
        log.warning("the journal's last line was cut short; it is set aside in %s.torn", path)
    if not journal.locked:
        log.warning("nothing keeps other runs from writing %s: let none use it meanwhile", path)
    asker = Asker(
        server, question, datamodule.classes, journal, Budget(limits, question.max_tokens)
    )
    total = len(datamodule.test_rows)
    log.info("%s: asking %s about %s images", cfg.name, server.model, f"{total:,}")
    try:
        with session.record.timed("test"), terminations_as_interrupts(), bar() as shown:
            step = shown.add_task("asking", total=total)
            asker.ask(_faces(datamodule), lambda: shown.advance(step))
    except KeyboardInterrupt as error:
        stopped = FerLabError(str(error) or "stopped by Ctrl-C")
        asker.asked.stopped = asker.asked.stopped or stopped
        _leave(session, datamodule, asker, options)
        log.warning("what is answered is kept; go on with journal='%s'", path.absolute())
        raise
    finally:
        journal.close()
    _leave(session, datamodule, asker, options)
    if asker.asked.stopped is not None:
        raise asker.asked.stopped


def _data(cfg: DictConfig, session: Session, rows_named: str) -> FaceDataModule:
    """The rows to ask about, in an order that makes any beginning of it a fair draw."""
    import numpy as np
    from hydra.utils import instantiate

    from fer_lab.data.splitting.draws import random_keys
    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.subsets import balanced_subset

    for name in ("image_size", "max_samples"):
        value = cfg[name]
        wrong = isinstance(value, bool) or not isinstance(value, int) or value < 1
        if wrong and not (value is None and name == "max_samples"):
            raise ConfigError(f"{name}={value} is no whole number from 1 on", where=name)
    datamodule: FaceDataModule = instantiate(
        cfg.data,
        _convert_="all",
        classes=plain(cfg.classes),
        attributes=plain(cfg.attributes),
        image_size=cfg.image_size,
        batch_size=_READ_AT_ONCE,
        eval_batch_size=_READ_AT_ONCE,
        num_workers=0,
    )
    datamodule.prepare_data()
    datamodule.setup("test")
    choose_rows(datamodule, rows_named)
    for reason, count in datamodule.dropped.items():
        log.info("%s rows set aside: %s", f"{count:,}", reason)
    session.list_unreadable(datamodule.unreadable)
    rows = datamodule.test_rows
    there = datamodule.manifest.iloc[rows]
    rows = rows[balanced_subset(there, cfg.max_samples, plain(cfg.balance_by), cfg.seed)]
    keys = random_keys(datamodule.manifest["id"].iloc[rows], cfg.seed)
    datamodule.test_rows = rows[np.argsort(keys, kind="stable")]
    return datamodule


def _faces(datamodule: FaceDataModule) -> Iterator[Face]:
    """The images, read as they are asked about."""
    from fer_lab.asking.asker import Face

    names = datamodule.manifest["id"].astype(str).to_numpy()
    for batch in datamodule.test_dataloader():
        images = batch["image"].permute(0, 2, 3, 1).contiguous().numpy()
        for row, image in zip(batch["index"].tolist(), images, strict=True):
            yield Face(str(names[row]), row, image)


def _leave(
    session: Session, datamodule: FaceDataModule, asker: Asker, options: dict[str, Any]
) -> None:
    """Write what was answered, and the audit of it.

    Raises:
        DataError: when no answer names an expression.
    """
    import pandas as pd

    from fer_lab.asking.outcomes import answer_facts, answer_table, sentences
    from fer_lab.data.predictions import own_predictions
    from fer_lab.data.predictions.own import sample_columns
    from fer_lab.files import atomic_path, write_json
    from fer_lab.metrics.predictions import prediction_scalars
    from fer_lab.metrics.provenance import audit_document

    manifest, groups = datamodule.manifest, datamodule.groups
    answers = answer_table(manifest, datamodule.test_rows, datamodule.classes, asker.asked)
    facts = answer_facts(asker, answers, manifest, groups, options["seed"])
    facts["image_size"] = datamodule.image_size
    facts["without_effect"] = session.record.content["asked"]["without_effect"]
    session.record.update(asked=facts)
    for sentence in sentences(facts):
        log.info("%s", sentence)
    with atomic_path(session.folder / "answers.csv") as temporary:
        answers.drop(columns="row").sort_values("id").to_csv(temporary, index=False)
    good = answers[answers["outcome"] == "answered"].sort_values("id")
    if good.empty:
        if asker.asked.stopped is not None:
            return
        raise DataError(
            "no answer names one of the expressions",
            where=session.folder / "answers.csv",
            hint="read the answers there; question.text=… asks in other words",
        )
    rows = good["row"].to_numpy()
    columns, behind = sample_columns(manifest, rows, datamodule.classes, groups)
    columns["prediction"] = pd.Categorical(
        good["prediction"], categories=pd.Index(datamodule.classes)
    )
    frame = pd.DataFrame(columns | behind)
    with atomic_path(session.folder / "predictions" / "test.parquet") as temporary:
        frame.to_parquet(temporary, index=False)
    document = audit_document(own_predictions(frame, groups), "test", **options)
    document["messages"] = [*sentences(facts), *document["messages"]]
    document["asked"] = facts
    write_json(session.folder / "metrics" / "test.json", document)
    plain = {name: options[name] for name in _WITHOUT_DRAWS if name in options}
    scalars = prediction_scalars(frame, attributes=groups, classes=datamodule.classes, **plain)
    scalars["accuracy_of_all_asked"] = facts["accuracy_of_all_asked"]
    summary = defined({f"test/{name}": value for name, value in scalars.items()})
    session.record.update(summary=summary)
    if session.logger is not None:
        session.logger.log_metrics(summary)
