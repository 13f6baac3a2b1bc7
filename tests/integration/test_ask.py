"""``fer-lab ask`` as a user starts it, against a local server: answers, a kill, a budget."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pandas as pd
import pytest

from tests.integration.chat_server import Response, chat, serving
from tests.integration.runs import command, record, run_task

FACES = ("dataset.train=8", "dataset.val=8", "dataset.test=24", "image_size=48")
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
    assert sum(g["asked"] for g in facts["by_group"]["gender"].values()) == 24
    assert "6 unparseable" in (folder / "report.html").read_text()
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
