"""What became of each question: answers as a table, their counts and cost, and words for both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.asking.asker import Asked, Asker
from fer_lab.asking.evenness import SIGNIFICANT, uneven
from fer_lab.asking.options import Limits, Question, Server
from fer_lab.data.answers import parse_answer
from fer_lab.data.manifest import attribute_column

OUTCOMES: Final = ("answered", "unparseable", "refused", "failed", "not asked")


def answer_table(
    manifest: pd.DataFrame, rows: NDArray[np.int64], classes: Sequence[str], asked: Asked
) -> pd.DataFrame:
    """One row an image: what it shows, what was answered, and what became of the answer.

    Args:
        manifest: the faces.
        rows: of the manifest, those to be asked about.
        classes: the expressions that were asked about.
        asked: what asking gave.

    Returns:
        ``row``, ``id``, ``label``, ``prediction`` (None without one), ``outcome`` (of
        :data:`OUTCOMES`), ``reason``, ``text``, ``input_tokens`` and ``output_tokens``.
    """
    lines: list[dict[str, Any]] = []
    for row in rows.tolist():
        line = asked.answers.get(row)
        found: dict[str, Any] = {
            "row": row,
            "id": str(manifest["id"].iloc[row]),
            "label": str(manifest["label"].iloc[row]),
            "prediction": None,
            "outcome": "failed" if row in asked.failures else "not asked",
            "reason": asked.failures.get(row, ""),
            "text": None,
            "input_tokens": None,
            "output_tokens": None,
        }
        if line is not None:
            answer = parse_answer(line["text"], classes, whole=line.get("whole", True))
            refused = line.get("refused", False)
            found |= {name: line.get(name) for name in ("text", "input_tokens", "output_tokens")}
            found["outcome"] = "refused" if refused else answer.kind
            found["prediction"] = None if refused else answer.expression
            found["reason"] = "refused by the server or model" if refused else answer.reason
        lines.append(found)
    frame = pd.DataFrame(lines)
    for name in ("input_tokens", "output_tokens"):
        frame[name] = frame[name].astype("Int64")
    return frame


def question_facts(server: Server, question: Question, limits: Limits) -> dict[str, Any]:
    """Who is asked what, and what it may cost: known before anything is sent."""
    return {
        "model": server.model,
        "base_url": server.base_url,
        "system": question.system,
        "question": question.text,
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
        "extra": dict(question.extra or {}),
        "sent_as": question.format,
        "detail": question.detail,
        "budget": {
            "dollars": limits.dollars,
            "tokens": limits.tokens,
            "requests": limits.requests,
            "input_price": limits.input_price,
            "output_price": limits.output_price,
        },
    }


def answer_facts(
    asker: Asker,
    answers: pd.DataFrame,
    manifest: pd.DataFrame,
    groups: Mapping[str, Sequence[str]],
    seed: int,
) -> dict[str, Any]:
    """Counts, tokens and cost; who was not answered, by group.

    Args:
        asker: who has asked.
        answers: of :func:`answer_table`.
        manifest: the faces.
        groups: the audited attributes and their groups.
        seed: of the draws that groups are compared with.
    """
    budget, asked = asker.budget, asker.asked
    counts = Counter(answers["outcome"])
    of_all = answers[answers["outcome"] != "not asked"]
    right = (of_all["prediction"] == of_all["label"]).to_numpy()
    answered = (of_all["outcome"] == "answered").to_numpy()
    unanswered = of_all.loc[~answered]
    tokens = of_all[["input_tokens", "output_tokens"]]
    with_text = of_all["text"].notna()
    return {
        **question_facts(asker.server, asker.question, budget.limits),
        "answering_models": sorted(
            {str(line["model"]) for line in asked.answers.values() if line.get("model")}
        ),
        "question": asker.question.wording(asker.classes),
        "journal": str(asker.journal.path.absolute()),
        "images": len(answers),
        "outcomes": {name: counts.get(name, 0) for name in OUTCOMES},
        "reasons": {
            outcome: dict(Counter(part["reason"]).most_common())
            for outcome, part in unanswered.groupby("outcome")
        },
        "accuracy_of_all_asked": float(right.mean()) if len(of_all) else None,
        "by_group": {
            attribute: _of_groups(
                manifest[attribute_column(manifest, attribute)]
                .astype(str)
                .iloc[of_all["row"].to_numpy(dtype=int)]
                .to_numpy(),
                names,
                answered,
                right,
                seed,
            )
            for attribute, names in groups.items()
        },
        "answers_of_earlier_runs": asked.earlier,
        "requests": asked.sent,
        "waits": asked.waits,
        "input_tokens": int(tokens["input_tokens"].fillna(0).sum()),
        "output_tokens": int(tokens["output_tokens"].fillna(0).sum()),
        "answers_without_usage": int((with_text & tokens.isna().any(axis=1)).sum()),
        "journal_requests": budget.requests,
        "journal_tokens": budget.tokens,
        "journal_dollars": round(budget.dollars, 6) if budget.priced else None,
        "requests_of_unknown_outcome": len(asker.journal.open) + asked.lost,
        "stopped": None if asked.stopped is None else asked.stopped.what,
    }


def _of_groups(
    own: NDArray[np.object_],
    names: Sequence[str],
    answered: NDArray[np.bool_],
    right: NDArray[np.bool_],
    seed: int,
) -> dict[str, Any]:
    """How many images of each group were asked about, answered, and answered rightly."""
    groups = {
        name: {
            "asked": int((own == name).sum()),
            "answered": int(answered[own == name].sum()),
            "right": int(right[own == name].sum()),
        }
        for name in names
    }
    asked, said = ([each[what] for each in groups.values()] for what in ("asked", "answered"))
    return {"groups": groups, "p": uneven(asked, said, seed=seed)}


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """What must be read beside every figure.

    Args:
        facts: of :func:`answer_facts`.
    """
    outcomes = facts["outcomes"]
    counts = ", ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
    told = [f"of {facts['images']:,} images: {counts}"]
    asked = facts["images"] - outcomes["not asked"]
    if outcomes["answered"] < asked:
        told.append(
            "the figures are of answered images alone; with every other image asked about counted "
            f"as wrong, accuracy is {facts['accuracy_of_all_asked']:.3f}"
        )
    told += [f"{said}; the figures are of those who were" for said in differences(facts)]
    if facts["stopped"] is not None:
        told.append(f"not all images were asked about: {facts['stopped']}")
    if facts.get("without_effect"):
        given = ", ".join(facts["without_effect"])
        told.append(f"nothing learns here, so that this changed nothing: {given}")
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


def differences(facts: Mapping[str, Any]) -> list[str]:
    """Of which attributes some groups are answered more often than others, in words."""
    told = []
    for attribute, part in facts["by_group"].items():
        if part["p"] is None or part["p"] >= SIGNIFICANT:
            continue
        shares = {
            name: each["answered"] / each["asked"]
            for name, each in part["groups"].items()
            if each["asked"]
        }
        least, most = min(shares, key=lambda n: shares[n]), max(shares, key=lambda n: shares[n])
        p = "p < 0.001" if part["p"] < 0.001 else f"p {part['p']:.3f}"
        told.append(
            f"not all groups of {attribute} are answered alike: {least} {shares[least]:.1%}, "
            f"{most} {shares[most]:.1%} ({p})"
        )
    return told
