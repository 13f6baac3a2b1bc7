"""The section of a run that asked a model in words."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from fer_lab.report.asked import asked_section
from fer_lab.report.page import page
from fer_lab.report.run import Run
from fer_lab.report.sections import sections_of
from tests.report.fabricated import write_run

ASKED = {
    "model": "lab/seer",
    "base_url": "http://localhost/v1",
    "question": "Which of <happy>, sad?",
    "system": None,
    "temperature": 0,
    "max_tokens": 10,
    "extra": {"seed": 3},
    "sent_as": "png",
    "detail": "low",
    "image_size": 64,
    "budget": {
        "dollars": 2.5,
        "tokens": None,
        "requests": 500,
        "input_price": 1,
        "output_price": 4,
    },
    "answering_models": ["seer-2026"],
    "journal": "/runs/journal.jsonl",
    "images": 100,
    "outcomes": {"answered": 60, "unparseable": 14, "refused": 5, "failed": 1, "not asked": 20},
    "reasons": {"unparseable": {"is not sure": 9, "names none": 5}, "refused": {"declines": 5}},
    "accuracy_of_all_asked": 0.6,
    "by_group": {
        "gender": {
            "groups": {
                "female": {"asked": 40, "answered": 20, "right": 16},
                "male": {"asked": 40, "answered": 40, "right": 32},
            },
            "p": 0.0002,
        },
        "age": {"groups": {"0-15": {"asked": 0, "answered": 0, "right": 0}}, "p": None},
    },
    "answers_of_earlier_runs": 10,
    "requests": 72,
    "waits": 2,
    "input_tokens": 6000,
    "output_tokens": 300,
    "answers_without_usage": 0,
    "journal_requests": 82,
    "journal_tokens": 7200,
    "journal_dollars": 1.25,
    "requests_of_unknown_outcome": 1,
    "stopped": "the budget is used up",
    "without_effect": ["split=female"],
}


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run", explained=False, epochs=0, record={"asked": ASKED})
    texts = ["<b>who</b> knows", "<b>who</b> knows", "no idea", "\x1b[31mhard to say", "x" * 500]
    rows = [
        {"id": f"face{n}", "outcome": "unparseable", "reason": "names none", "text": text}
        for n, text in enumerate(texts)
    ]
    rows += [{"id": "f9", "outcome": "refused", "reason": "declines", "text": "I won't."}]
    rows += [{"id": "f10", "outcome": "answered", "reason": "", "text": "happy"}]
    pd.DataFrame(rows).to_csv(folder / "answers.csv", index=False)
    return Run(folder)


def test_every_outcome_has_its_share_of_all_images(run):
    rows = {row["title"]: row for row in asked_section(run)["outcomes"]}
    assert [row["share"] for row in rows.values()] == ["60.0%", "14.0%", "5.0%", "1.0%", "20.0%"]
    assert rows["unparseable"]["reasons"] == "is not sure (9); names none (5)"


def test_accuracy_is_told_of_both(run):
    facts = asked_section(run)
    assert facts["accuracy_of_all"] == 0.6  # 48 of 80
    assert facts["accuracy_of_answered"] == pytest.approx(48 / 60)


def test_groups_that_are_answered_less_are_named(run):
    gender, age = asked_section(run)["attributes"]
    assert [row["share"] for row in gender["rows"]] == ["50.0%", "100.0%"]
    assert [row["accuracy"] for row in gender["rows"]] == [0.4, 0.8]
    assert "more than chance explains (p <0.001)" in gender["note"]
    assert age["rows"][0]["share"] == "–"
    assert age["note"] == "nothing to compare"


@pytest.mark.parametrize(
    ("answered", "said"), [(12, "answered alike: all of them"), (7, "nothing to compare")]
)
def test_a_single_group_is_answered_alike_only_if_all_of_it_is(run, answered, said):
    group = {"asked": 12, "answered": answered, "right": 5}
    asked = {**ASKED, "by_group": {"gender": {"groups": {"female": group}, "p": None}}}
    record = json.loads((run.path / "run.json").read_text()) | {"asked": asked}
    (run.path / "run.json").write_text(json.dumps(record))
    (gender,) = asked_section(Run(run.path))["attributes"]
    assert gender["note"] == said


def test_examples_are_of_all_reasons_once_each_and_short(run):
    examples = asked_section(run)["examples"]
    assert [each["reason"] for each in examples[:2]] == ["names none", "declines"]
    assert len({each["text"] for each in examples}) == len(examples) == 5
    assert max(len(each["text"]) for each in examples) < 210
    assert not any("\x1b" in each["text"] for each in examples)


def test_what_was_said_cannot_enter_the_page(run):
    text = page(run)
    assert "&lt;b&gt;who&lt;/b&gt; knows" in text
    assert "<b>who" not in text
    assert "Which of &lt;happy&gt;, sad?" in text
    assert "$1.2500, of at most $2.5" in text
    assert "82, of at most 500" in text
    assert "the budget is used up" in text


def test_it_is_a_section_of_asked_runs_alone_and_replaces_what_needs_a_model(run, whole_folder):
    assert "asked" in sections_of(run)
    assert not {"explanation", "curves"} & set(sections_of(run))
    assert "asked" not in sections_of(Run(whole_folder))


def test_a_run_that_ended_before_it_asked_says_so(tmp_path):
    known = {name: ASKED[name] for name in ("model", "base_url", "question", "budget")}
    folder = write_run(tmp_path, explained=False, epochs=0, splits=(), record={"asked": known})
    assert "the run ended before anything was asked" in page(Run(folder))
