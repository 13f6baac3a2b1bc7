"""The page's section of a run that asked a model in words: what was said, by whom, for how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fer_lab.asking.evenness import SIGNIFICANT
from fer_lab.errors import DataError
from fer_lab.report.run import Run
from fer_lab.report.wording import count, name, number, printable, probability

_EXAMPLES = 6
_SHOWN = 200  # characters of an answer
_SHARE = "{:.1%}"


def is_asked(run: Run) -> bool:
    """Whether the run's model was one that is asked in words."""
    return "asked" in run.record


def asked_section(run: Run) -> Mapping[str, Any]:
    """What the section shows.

    Args:
        run: one that :func:`is_asked`.

    Raises:
        DataError: when the run ended before anything was asked.
    """
    facts = run.record["asked"]
    if "outcomes" not in facts:
        raise DataError("the run ended before anything was asked", where=run.path)
    outcomes, images = facts["outcomes"], facts["images"]
    asked = images - outcomes["not asked"]
    return {
        "model": facts["model"],
        "answering": [each for each in facts["answering_models"] if each != facts["model"]],
        "server": facts["base_url"],
        "question": facts["question"],
        "system": facts["system"],
        "sent": _sent(facts),
        "images": images,
        "asked": asked,
        "outcomes": [
            {
                "title": outcome,
                "count": found,
                "share": _share(found, images),
                "reasons": _reasons(facts["reasons"].get(outcome) or {}),
            }
            for outcome, found in outcomes.items()
        ],
        "accuracy_of_all": facts["accuracy_of_all_asked"],
        "accuracy_of_answered": _right(facts, "answered"),
        "attributes": [_attribute(each, part) for each, part in facts["by_group"].items()],
        "examples": _examples(run),
        "cost": _cost(facts),
        "stopped": facts["stopped"],
        "without_effect": facts.get("without_effect") or [],
    }


def _sent(facts: Mapping[str, Any]) -> str:
    """How the question went out, in a line."""
    parts = [
        f"{facts['image_size']} × {facts['image_size']} pixels as {facts['sent_as'].upper()}",
        f"at most {count(facts['max_tokens'])} tokens an answer",
    ]
    if facts["temperature"] is not None:
        parts.append(f"temperature {facts['temperature']:g}")
    if facts["detail"]:
        parts.append(f"detail {facts['detail']}")
    parts += [f"{key} {value}" for key, value in facts["extra"].items()]
    return ", ".join(parts)


def _reasons(reasons: Mapping[str, int]) -> str:
    """Why there is no answer, the commonest first."""
    told = [f"{printable(reason)} ({count(found)})" for reason, found in reasons.items()]
    more = len(told) - _EXAMPLES
    return "; ".join([*told[:_EXAMPLES], *([f"{more} others"] if more > 0 else [])])


def _right(facts: Mapping[str, Any], of: str) -> float | None:
    asked = facts["images"] - facts["outcomes"]["not asked"]
    share, found = facts["accuracy_of_all_asked"], facts["outcomes"][of]
    return None if share is None or not found else share * asked / found


def _attribute(attribute: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """Whom of an attribute's groups the model has answered about."""
    rows = [
        {
            "title": name(group),
            "asked": found["asked"],
            "answered": found["answered"],
            "share": _share(found["answered"], found["asked"]),
            "accuracy": found["right"] / found["asked"] if found["asked"] else None,
        }
        for group, found in part["groups"].items()
    ]
    return {"title": name(attribute), "rows": rows, "p": part["p"], "note": _note(rows, part["p"])}


def _note(rows: Sequence[Mapping[str, Any]], p: float | None) -> str:
    """Whether the shares differ more than those of groups drawn at random."""
    if p is None:
        asked, answered = (sum(row[what] for row in rows) for what in ("asked", "answered"))
        return "answered alike: all of them" if asked == answered > 0 else "nothing to compare"
    if p < SIGNIFICANT:
        return (
            f"these shares differ more than chance explains (p {probability(p)}): figures of "
            "answered images compare whom the model chose to answer about"
        )
    return f"these shares do not differ more than those of groups drawn at random (p {number(p)})"


def _share(part: int, whole: int) -> str:
    return _SHARE.format(part / whole) if whole else "–"


def _cost(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Requests, tokens and dollars, of this run and of its journal, beside what was allowed."""
    budget, dollars = facts["budget"], facts["journal_dollars"]

    def limit(key: str, unit: str = "") -> str:
        return "" if budget[key] is None else f", of at most {unit}{budget[key]:,}"

    rows = [
        ("requests of this run", count(facts["requests"])),
        ("answers of earlier runs", count(facts["answers_of_earlier_runs"])),
        ("times that the server was waited for", count(facts["waits"])),
        ("tokens of these images' questions", count(facts["input_tokens"])),
        ("tokens of their answers", count(facts["output_tokens"])),
        ("requests in the journal", count(facts["journal_requests"]) + limit("requests")),
        ("tokens in the journal", count(facts["journal_tokens"]) + limit("tokens")),
    ]
    if dollars is not None:
        prices = f"${budget['input_price']:g} and ${budget['output_price']:g} for a million tokens"
        rows += [("dollars in the journal", f"${dollars:,.4f}{limit('dollars', '$')}")]
        rows += [("prices", f"{prices} of questions and answers")]
    else:
        rows += [("dollars", "no prices were given")]
    for key, title in (
        ("requests_of_unknown_outcome", "requests under way at an end, counted as paid"),
        ("answers_without_usage", "answers without a count of tokens, counted as the dearest"),
    ):
        rows += [(title, count(facts[key]))] if facts[key] else []
    return [*rows, ("journal", facts["journal"])]


def _examples(run: Run) -> list[dict[str, str]]:
    """Some of what was said that is no answer, of as many reasons as there are."""
    path = run.path / "answers.csv"
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    said = table[table["outcome"].isin(["unparseable", "refused"]) & (table["text"] != "")]
    said = said.drop_duplicates("text")
    order = said.groupby("reason").cumcount().sort_values(kind="stable").index
    return [
        {
            "id": printable(row["id"]),
            "reason": printable(row["reason"]),
            "text": _shortened(printable(" ".join(row["text"].split()))),
        }
        for _, row in said.loc[order].head(_EXAMPLES).iterrows()
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
