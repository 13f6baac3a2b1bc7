"""The asking task: a vision-language model's answers about faces, audited like any predictions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_shared_root, refuse_what_is_no_number
from fer_lab.errors import ConfigError, DataError
from fer_lab.evaluate import audit_options, choose_rows, headline
from fer_lab.running import Session, data_facts, run_session

if TYPE_CHECKING:
    import pandas as pd

    from fer_lab.asking.asker import Asked, Asker, Face
    from fer_lab.data.datamodule import FaceDataModule

log = logging.getLogger(__name__)

_ROWS = ("test", "val", "all")
_READ_AT_ONCE = 8
OUTCOMES = ("answered", "unparseable", "refused", "failed", "not asked")


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
    cfg.name = cfg.name or f"{str(cfg.server.model).rsplit('/', 1)[-1]}-on-{cfg.dataset.name}"
    with run_session(cfg, folder, "ask") as session:
        _ask(cfg, session)


def _ask(cfg: DictConfig, session: Session) -> None:
    """The linear part: options, data, journal, questions, tables, audit."""
    from fer_lab.asking.asker import Asker
    from fer_lab.asking.budget import Budget
    from fer_lab.asking.journal import Journal
    from fer_lab.asking.options import Limits, Question, Server
    from fer_lab.data.progress import bar
    from fer_lab.data.splitting.selection import plain

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every request
    refuse_what_is_no_number(cfg)
    refuse_shared_root(cfg)
    if cfg.rows not in _ROWS:
        raise ConfigError(f"rows={cfg.rows}", where="rows", hint=f"choose {', '.join(_ROWS)}")
    server, limits = Server.of(plain(cfg.server)), Limits.of(plain(cfg.budget))
    question = Question.of(plain(cfg.question))
    options = audit_options(cfg)
    server.key()  # that it is there, before the data are read
    with session.record.timed("data"):
        datamodule = _data(cfg, session)
    model = str(server.model)
    facts = data_facts(datamodule)
    facts["data"] = {name: facts["data"][name] for name in ("test", "dropped")}
    choices = {**session.record.content.get("choices", {}), "model": model}
    session.record.update(**facts, name=cfg.name, rows=cfg.rows, choices=choices)
    session.start_tracking(cfg)
    session.say_inferred(datamodule.sources_of)
    path = Path(str(cfg.journal)).expanduser() if cfg.journal else session.folder / "journal.jsonl"
    journal = Journal(path)
    if journal.torn:
        log.warning("the journal's last line was cut short; it is set aside in %s.torn", path)
    asker = Asker(
        server, question, datamodule.classes, journal, Budget(limits, question.max_tokens)
    )
    total = len(datamodule.test_rows)
    log.info("%s: asking %s about %s images", cfg.name, model, f"{total:,}")
    try:
        with session.record.timed("test"), bar() as shown:
            step = shown.add_task("asking", total=total)
            asked = asker.ask(_faces(datamodule), lambda: shown.advance(step))
    except KeyboardInterrupt:
        log.warning("what is answered is kept; go on with journal='%s'", path.absolute())
        raise
    finally:
        journal.close()
    answers = _answers(datamodule, asked)
    _leave(session, datamodule, asker, answers, options)
    if asked.stopped is not None:
        raise asked.stopped


def _data(cfg: DictConfig, session: Session) -> FaceDataModule:
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
    )
    datamodule.prepare_data()
    datamodule.setup("test")
    choose_rows(datamodule, cfg.rows)
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


def _answers(datamodule: FaceDataModule, asked: Asked) -> pd.DataFrame:
    """One row an image: what it shows, what was answered, and what became of the answer."""
    import pandas as pd

    from fer_lab.data.answers import parse_answer

    lines: list[dict[str, Any]] = []
    manifest = datamodule.manifest
    for row in datamodule.test_rows.tolist():
        line = asked.answers.get(row)
        found: dict[str, Any] = {
            "row": row,
            "id": str(manifest["id"].iloc[row]),
            "label": str(manifest["label"].iloc[row]),
            "prediction": None,
            "reason": asked.failures.get(row, ""),
            "text": None,
            "input_tokens": None,
            "output_tokens": None,
        }
        if line is not None:
            answer = parse_answer(line["text"], datamodule.classes, whole=line.get("whole", True))
            refused = line.get("refused", False)
            found |= {name: line.get(name) for name in ("text", "input_tokens", "output_tokens")}
            found["outcome"] = "refused" if refused else answer.kind
            found["prediction"] = None if refused else answer.expression
            found["reason"] = "refused by the server or model" if refused else answer.reason
        else:
            found["outcome"] = "failed" if row in asked.failures else "not asked"
        lines.append(found)
    frame = pd.DataFrame(lines)
    for name in ("input_tokens", "output_tokens"):
        frame[name] = frame[name].astype("Int64")
    return frame


def _leave(
    session: Session,
    datamodule: FaceDataModule,
    asker: Asker,
    answers: pd.DataFrame,
    options: dict[str, Any],
) -> None:
    """Write what was answered, and the audit of it.

    Raises:
        DataError: when no answer names an expression.
    """
    import pandas as pd

    from fer_lab.data.predictions import own_predictions
    from fer_lab.data.predictions.own import sample_columns
    from fer_lab.files import atomic_path, write_json
    from fer_lab.metrics.provenance import audit_document

    facts = _facts(datamodule, asker, answers)
    session.record.update(asked=facts)
    for sentence in _sentences(facts):
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
    columns, behind = sample_columns(
        datamodule.manifest, rows, datamodule.classes, datamodule.groups
    )
    columns["prediction"] = pd.Categorical(
        good["prediction"], categories=pd.Index(datamodule.classes)
    )
    frame = pd.DataFrame(columns | behind)
    with atomic_path(session.folder / "predictions" / "test.parquet") as temporary:
        frame.to_parquet(temporary, index=False)
    document = audit_document(own_predictions(frame, datamodule.groups), "test", **options)
    document["messages"] = [*_sentences(facts), *document["messages"]]
    document["asked"] = facts
    write_json(session.folder / "metrics" / "test.json", document)
    summary = headline(document)
    if facts["accuracy_of_all_asked"] is not None:
        summary["test/accuracy_of_all_asked"] = facts["accuracy_of_all_asked"]
    session.record.update(summary=summary)


def _facts(datamodule: FaceDataModule, asker: Asker, answers: pd.DataFrame) -> dict[str, Any]:
    """Counts, tokens and cost; who was not answered, by group."""
    from fer_lab.data.manifest import attribute_column

    budget, asked = asker.budget, asker.asked
    counts = Counter(answers["outcome"])
    of_all = answers[answers["outcome"] != "not asked"]
    right = int((of_all["prediction"] == of_all["label"]).sum())
    answered = (of_all["outcome"] == "answered").to_numpy()
    by: dict[str, dict[str, dict[str, int]]] = {}
    for attribute in datamodule.groups:
        column = datamodule.manifest[attribute_column(datamodule.manifest, attribute)]
        own = column.astype(str).iloc[of_all["row"].to_numpy(dtype=int)].to_numpy()
        by[attribute] = {
            group: {
                "asked": int((own == group).sum()),
                "answered": int(answered[own == group].sum()),
            }
            for group in datamodule.groups[attribute]
        }
    reasons = Counter(of_all.loc[~answered, "reason"])
    tokens = of_all[["input_tokens", "output_tokens"]]
    with_text = of_all["text"].notna()
    priced = budget.limits.input_price is not None
    return {
        "model": asker.server.model,
        "answering_models": sorted({str(line.get("model")) for line in asked.answers.values()}),
        "base_url": asker.server.base_url,
        "question": asker.question.wording(asker.classes),
        "journal": str(asker.journal.path.absolute()),
        "images": len(answers),
        "outcomes": {name: counts.get(name, 0) for name in OUTCOMES},
        "reasons": dict(reasons.most_common()),
        "accuracy_of_all_asked": right / len(of_all) if len(of_all) else None,
        "by_group": by,
        "answers_of_earlier_runs": asked.earlier,
        "requests": asked.sent,
        "waits": asked.waits,
        "input_tokens": int(tokens["input_tokens"].fillna(0).sum()),
        "output_tokens": int(tokens["output_tokens"].fillna(0).sum()),
        "answers_without_usage": int((with_text & tokens.isna().any(axis=1)).sum()),
        "journal_requests": budget.requests,
        "journal_tokens": budget.tokens,
        "journal_dollars": round(budget.dollars, 6) if priced else None,
        "requests_of_unknown_outcome": len(asker.journal.open),
        "stopped": None if asked.stopped is None else asked.stopped.what,
    }


def _sentences(facts: dict[str, Any]) -> list[str]:
    """What must be read beside every figure."""
    outcomes = facts["outcomes"]
    counts = ", ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
    told = [f"of {facts['images']:,} images: {counts}"]
    asked = facts["images"] - outcomes["not asked"]
    if outcomes["answered"] < asked:
        told.append(
            "the figures are of answered images alone; with every other image asked about counted "
            f"as wrong, accuracy is {facts['accuracy_of_all_asked']:.3f}"
        )
    if facts["stopped"] is not None:
        told.append(f"not all images were asked about: {facts['stopped']}")
    cost = facts["journal_dollars"]
    priced = "" if cost is None else f", ${cost:.4f}"
    told.append(
        f"{facts['journal_requests']:,} requests in the journal, "
        f"{facts['journal_tokens']:,} tokens{priced}"
    )
    if facts["answers_without_usage"]:
        told.append(
            f"{facts['answers_without_usage']:,} answers came without a count of tokens: each is "
            "counted with the most it may have cost"
        )
    return told
