"""``fer-lab ask`` as a user starts it, against a local server: answers, a kill, a budget."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter

import pandas as pd
import pytest

from fer_lab.cli import main
from fer_lab.report.run_tables.table import run_table
from tests.integration.chat_server import Response, chat, serving
from tests.integration.runs import command, only_run, record, run_task

FACES = ("dataset.train=8", "dataset.val=8", "dataset.test=24", "image_size=48")
HEADLINE = {
    *("test/accuracy", "test/mean_class_accuracy", "test/f1_macro", "test/f1_weighted"),
    *("test/worst_group_accuracy", "test/fairness/bias", "test/collapsed"),
    *("test/fairness/gender/bias", "test/fairness/gender/dpd", "test/fairness/undefined"),
}
AUDIT = ("callbacks.fairness.resamples=20", "callbacks.fairness.min_count=1")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as (server, url):
        server.options = (*FACES, *AUDIT, f"server.base_url={url}", "server.model=lab/seer")
        yield server


def test_answers_are_audited_and_what_is_none_is_counted(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SEER_KEY", "s3cret-key")
    texts = ["happy", "sad or angry", "I'm sorry, I can't help with that.", "The face is neutral."]
    by_image: dict[str, str] = {}

    def answer(seen):
        text = by_image.setdefault(seen.digest, texts[len(by_image) % 4])
        return Response(chat(text))

    server.answer = answer
    server.script.append(Response(b"{}", 429, {"Retry-After": "1"}))
    server.script.append(Response(b"not json", 200))
    folder, done = run_task(
        tmp_path,
        "ask",
        *(*server.options, "server.key_variable=SEER_KEY", "server.concurrency=1"),
        *("budget.input_price=1", "budget.output_price=2", "server.backoff=0.01"),
    )
    assert done.returncode == 0, done.stderr
    facts = record(folder)["asked"]
    counts = {"answered": 12, "unparseable": 6, "refused": 6, "failed": 0, "not asked": 0}
    assert facts["outcomes"] == counts
    assert (facts["input_tokens"], facts["output_tokens"]) == (2400, 120)
    assert facts["requests"] == 26
    answers = pd.read_csv(folder / "answers.csv")
    assert set(answers["text"]) == set(texts)
    table = pd.read_parquet(folder / "predictions" / "test.parquet")
    assert len(table) == 12
    assert set(table["prediction"]) <= {"happy", "neutral"}
    metrics = json.loads((folder / "metrics" / "test.json").read_text())
    right = (table["prediction"].astype(str) == table["label"].astype(str)).sum()
    assert metrics["accuracy"]["value"] == pytest.approx(right / 12)
    assert facts["accuracy_of_all_asked"] == pytest.approx(right / 24)
    gender = facts["by_group"]["gender"]
    assert sum(group["asked"] for group in gender["groups"].values()) == 24
    assert sum(group["answered"] for group in gender["groups"].values()) == 12
    assert sum(group["right"] for group in gender["groups"].values()) == right
    reasons = {
        "unparseable": {"names several: sad, anger": 6},
        "refused": {"declines to answer": 6},
    }
    assert facts["reasons"] == reasons
    page = (folder / "report.html").read_text()
    assert "6 unparseable" in page
    assert "names several: sad, anger (6)" in page
    assert 'id="curves"' not in page
    leaks = [p for p in folder.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    assert leaks == []
    assert "s3cret" not in done.stdout + done.stderr


def test_after_a_kill_no_answered_image_is_asked_again(server, tmp_path):
    server.answer = lambda _: Response(chat("happy"), delay=0.1)
    journal = tmp_path / "answers.jsonl"
    options = (*server.options, f"journal={journal}", "server.concurrency=2")
    first = subprocess.Popen(
        command(*options, task="ask"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(server.times_answered) < 6 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    paid = {line["id"] for line in lines if line["event"] == "answered"}
    assert 0 < len(paid) < 24
    with journal.open("a") as file:
        file.write('{"event": "answ')
    before = len(server.seen)
    folder, done = run_task(tmp_path / "second", "ask", *options)
    assert done.returncode == 0, done.stderr
    facts = record(folder)["asked"]
    assert facts["answers_of_earlier_runs"] == len(paid)
    assert len(server.seen) - before == 24 - len(paid) == facts["requests"]
    assert facts["outcomes"]["answered"] == 24
    # What was under way at the kill may have been paid: it is counted.
    assert facts["requests_of_unknown_outcome"] == before - len(paid) <= 2
    assert facts["journal_requests"] == len(server.seen)


def test_a_budget_ends_the_run_with_a_message_and_what_is_answered_is_kept(server, tmp_path):
    folder, done = run_task(tmp_path, "ask", *server.options, "budget.requests=9")
    assert done.returncode == 1
    assert "budget is used up" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(server.seen) == 9
    assert record(folder)["status"] == "failed"
    assert record(folder)["asked"]["outcomes"]["not asked"] == 15
    assert len(pd.read_parquet(folder / "predictions" / "test.parquet")) == 9


def test_a_sweep_over_models_asks_like_the_others_train(server, tmp_path):
    odd = "<script>alert(1)</script> who knows"
    server.answer = lambda seen: Response(chat("happy" if int(seen.digest) % 3 else odd))
    settings = [option for option in server.options if not option.startswith("image_size")]
    done = subprocess.run(
        command(
            *("--multirun", *settings, "model=baseline_cnn,vision_language", "split=female"),
            *("recipe.image_size=48", "trainer.max_epochs=1", "explain=none", "logger=none"),
        ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trained, asked = sorted(path.parent for path in tmp_path.glob("multirun/*/*/*/run.json"))
    facts = record(asked)
    assert (facts["task"], facts["name"]) == ("train", "synthetic-female-seer-s1")
    assert facts["choices"] == record(trained)["choices"] | {"model": "vision_language"}
    assert facts["fingerprint"] == record(trained)["fingerprint"]
    assert facts["asked"]["without_effect"] == ["trainer.max_epochs=1", "split=female"]
    for run in (trained, asked):
        assert set(record(run)["summary"]) >= HEADLINE
    metrics = json.loads((asked / "metrics" / "test.json").read_text())
    assert facts["summary"]["test/accuracy"] == metrics["accuracy"]["value"]
    assert facts["summary"]["test/fairness/bias"] == pytest.approx(metrics["bias"]["value"])
    share = facts["asked"]["outcomes"]["answered"] / 24
    of_all = facts["summary"]["test/accuracy_of_all_asked"]
    assert of_all == pytest.approx(metrics["accuracy"]["value"] * share)
    table = run_table(tmp_path / "multirun", rows="model", columns=("accuracy", "fairness/bias"))
    assert (table.keys, sorted(table.labels)) == (
        ("model",), [("baseline_cnn",), ("vision_language",)],
    )  # fmt: skip
    assert all(cell is not None for row in table.cells for cell in row)
    page = (asked / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; who knows" in page
    assert "<script>alert" not in page


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_what_is_answered_and_can_be_resumed(server, tmp_path):
    server.answer = lambda _: Response(chat("happy"), delay=0.1)
    settings = [option for option in server.options if not option.startswith("image_size")]
    first = subprocess.Popen(
        command(*settings, "model=vision_language", "recipe.image_size=48", "logger=none"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(server.times_answered) < 6 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate()
    assert first.returncode == 130, said
    assert "Traceback" not in said
    assert "go on with journal=" in said
    folder = only_run(tmp_path)
    facts = record(folder)
    assert (facts["status"], facts["error"]) == ("interrupted", "stopped by SIGTERM")
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    counts = Counter(line["event"] for line in lines)
    answered = facts["asked"]["outcomes"]["answered"]
    assert 0 < answered == counts["answered"] < 24
    assert facts["asked"]["requests_of_unknown_outcome"] == counts["sent"] - answered
    assert facts["asked"]["journal_tokens"] == sum(
        line["tokens"] for line in {line["id"]: line for line in lines}.values()
    )
    assert len(pd.read_parquet(folder / "predictions" / "test.parquet")) == answered
    before = len(server.seen)
    again = subprocess.run(
        command("resume=last"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    facts = record(only_run(tmp_path))
    assert (facts["status"], facts["resumed"]) == ("finished", 1)
    assert facts["asked"]["outcomes"]["answered"] == 24
    assert len(server.seen) - before == 24 - answered == facts["asked"]["requests"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ask", "model=resnet50"), "not one that is asked in words"),
        (("ask",), "name the server and its model"),
        (("train", "model=vision_language", "logger=none"), "name the server and its model"),
        (
            ("train", "model=vision_language", "target=gender", "logger=none"),
            "asked about expressions alone",
        ),
    ],
)
def test_a_mistake_is_one_error(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert said in capsys.readouterr().err
