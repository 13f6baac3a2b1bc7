"""Asking a real local server: retries, pace, concurrency, budget, and never twice."""

from __future__ import annotations

import json
from email.utils import formatdate
from time import time

import numpy as np
import pytest

from fer_lab.asking.asker import Asker, Face
from fer_lab.asking.budget import Budget
from fer_lab.asking.journal import Journal
from fer_lab.asking.options import Limits, Question, Server
from fer_lab.errors import DataError
from tests.integration.chat_server import USAGE, Response, chat, serving

QUESTION = Question("Which of {classes}?", max_tokens=10)
CLASSES = ("happy", "sad")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as (server, url):
        server.url = url
        yield server


def faces(count):
    for row in range(count):
        yield Face(f"face{row}", row, np.full((4, 4, 3), row, dtype=np.uint8))


def asked(server, path, count=1, limits=None, question=QUESTION, **options):
    chosen = {"base_url": server.url, "model": "seer", "backoff": 0.01, **options}
    journal = Journal(path / "journal.jsonl")
    budget = Budget(limits or Limits(), question.max_tokens)
    asker = Asker(Server(**chosen), question, CLASSES, journal, budget)
    try:
        asker.ask(faces(count), lambda: None)
    finally:
        journal.close()
    return asker


def test_the_request_is_that_of_the_protocol(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SEER_KEY", "s3cret-key")
    question = Question("{classes}?", system="Judge.", detail="low", extra={"seed": 3})
    found = asked(server, tmp_path, question=question, key_variable="SEER_KEY")
    (seen,) = server.seen
    assert seen.headers["authorization"] == "Bearer s3cret-key"
    assert {k: v for k, v in seen.body.items() if k != "messages"} == {
        "model": "seer", "temperature": 0, "max_tokens": 50, "seed": 3,
    }  # fmt: skip
    assert seen.body["messages"][0] == {"role": "system", "content": "Judge."}
    text, shown = seen.body["messages"][1]["content"]
    assert text == {"type": "text", "text": "happy, sad?"}
    assert shown["image_url"]["detail"] == "low"
    assert (seen.pixels == 0).all()
    assert seen.pixels.shape == (4, 4, 3)
    assert found.asked.answers[0]["text"] == "happy"
    assert "s3cret-key" not in (tmp_path / "journal.jsonl").read_text()


def test_without_a_variable_no_key_is_sent(server, tmp_path):
    asked(server, tmp_path)
    assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize(
    "bad",
    [
        Response(b"{}", 500),
        Response(b"<html>", 503),
        Response(b'{"choices": [', 200),
        Response(b'{"choices": []}', 200),
        Response(b"[]", 200),
        Response(chat("late"), delay=1.0),
    ],
    ids=["500", "503", "broken", "no choice", "a list", "late"],
)
def test_what_may_pass_is_asked_again(server, tmp_path, bad):
    server.script.append(bad)
    found = asked(server, tmp_path, timeout=0.4)
    assert found.asked.answers[0]["text"] == "happy"
    assert len(server.seen) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_holds_every_worker(server, tmp_path, form):
    value = "1" if form == "seconds" else formatdate(time() + 2, usegmt=True)
    server.script.append(Response(b"{}", 429, {"Retry-After": value}))
    asked(server, tmp_path, count=4, concurrency=1)
    times = [seen.at for seen in server.seen]
    assert len(times) == 5
    assert 0.9 < times[1] - times[0] < 2.5


def test_a_server_that_asks_for_too_long_ends_the_run(server, tmp_path):
    server.script.append(Response(b"{}", 429, {"Retry-After": "3600"}))
    found = asked(server, tmp_path, count=3, concurrency=1)
    assert "asks to wait 3600 s" in str(found.asked.stopped)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_key_ends_the_run_and_is_not_repeated(server, tmp_path, monkeypatch, status):
    monkeypatch.setenv("SEER_KEY", "s3cret-key")
    said = json.dumps({"error": {"message": "Incorrect key s3cret-key"}}).encode()
    server.answer = lambda _: Response(said, status)
    found = asked(server, tmp_path, count=9, concurrency=1, key_variable="SEER_KEY")
    assert "Incorrect key [key]" in str(found.asked.stopped)
    assert len(server.seen) == 1
    assert "s3cret-key" not in (tmp_path / "journal.jsonl").read_text()


def test_images_without_an_answer_fail_and_too_many_end_the_run(server, tmp_path):
    server.answer = lambda _: Response(b'{"error": {"message": "bad image"}}', 400)
    found = asked(server, tmp_path, count=9, concurrency=1, max_failures=4)
    assert found.asked.failures == dict.fromkeys(range(4), "HTTP 400: bad image")
    assert "4 images in a row" in str(found.asked.stopped)


def test_retries_have_an_end(server, tmp_path):
    server.answer = lambda _: Response(b"", 500)
    found = asked(server, tmp_path, retries=2)
    assert (len(server.seen), found.asked.failures) == (3, {0: "HTTP 500"})


def test_no_server_is_said_at_once(server, tmp_path):
    server.url = "http://127.0.0.1:9/v1"
    found = asked(server, tmp_path, count=9, retries=1)
    assert "cannot be reached" in str(found.asked.stopped)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_are_under_way_than_allowed(server, tmp_path, concurrency):
    server.answer = lambda _: Response(chat("sad"), delay=0.05)
    found = asked(server, tmp_path, count=9, concurrency=concurrency)
    assert len(found.asked.answers) == 9
    assert server.most_at_once == concurrency


def test_the_rate_is_kept_by_all_workers_together(server, tmp_path):
    asked(server, tmp_path, count=6, concurrency=4, requests_per_minute=600)
    times = sorted(seen.at for seen in server.seen)
    assert np.diff(times).min() > 0.1 - 0.05
    assert times[-1] - times[0] >= 5 * 0.1 - 0.03


def test_the_rate_is_kept_by_those_who_waited_for_the_budget(server, tmp_path):
    server.answer = lambda _: Response(chat("sad"), delay=0.3)
    # Two are set aside at first, and four may be sent at once when the first answer is known.
    limits = Limits(tokens=2200, input_tokens=1000)
    options = {"limits": limits, "concurrency": 6, "requests_per_minute": 600}
    asked(server, tmp_path, count=8, **options)
    times = sorted(seen.at for seen in server.seen)
    assert len(times) == 8
    assert np.diff(times).min() > 0.1 - 0.05


def test_waiting_doubles_and_is_not_the_same_for_all(server, tmp_path):
    server.answer = lambda _: Response(b"", 500)
    asked(server, tmp_path, count=8, retries=2, backoff=0.2, concurrency=8)
    times: dict[str, list[float]] = {}
    for seen in server.seen:
        times.setdefault(seen.digest, []).append(seen.at)
    first, second = np.diff(list(times.values()), axis=1).T
    assert (first > 0.1 - 0.01).all()
    assert (second > 0.2 - 0.01).all()
    assert np.median(first) < 0.2 + 0.2
    assert np.ptp(first) > 0.02


def test_an_answered_image_is_never_asked_again_unless_the_question_changes(server, tmp_path):
    asked(server, tmp_path, count=5)
    again = asked(server, tmp_path, count=7)
    assert again.asked.earlier == 5
    assert sorted(server.times_answered.values()) == [1] * 7
    asked(server, tmp_path, count=7, question=Question("Other: {classes}"))
    assert len(server.seen) == 14


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("limits", "answers"),
    [
        (Limits(requests=5), 5),
        # An answer costs 105 tokens; a request is sent while 1.1 * 100 + 10 more would fit.
        (Limits(tokens=700, input_tokens=150), 6),
        (Limits(dollars=0.0007, input_price=1, output_price=1, input_tokens=150), 6),
    ],
    ids=["requests", "tokens", "dollars"],
)
def test_a_budget_is_used_but_never_passed(server, tmp_path, limits, answers, concurrency):
    found = asked(server, tmp_path, count=20, limits=limits, concurrency=concurrency)
    assert len(found.asked.answers) == len(server.seen) == answers
    assert found.budget.tokens == answers * USAGE["total_tokens"]
    assert "budget is used up" in str(found.asked.stopped)
    again = asked(server, tmp_path, count=20, limits=limits, concurrency=concurrency)
    assert len(server.seen) == answers  # what the journal holds counts
    # Answers that are paid already cost nothing, wherever they stand among the images.
    assert again.asked.stopped is not None


def test_what_may_have_been_billed_counts(server, tmp_path):
    server.answer = lambda _: Response(chat("late"), delay=0.5)
    limits = Limits(tokens=400, input_tokens=150)
    found = asked(server, tmp_path, limits=limits, timeout=0.1, retries=9)
    assert len(server.seen) == 2  # 160 tokens each may be gone
    assert found.budget.tokens == 320


def test_an_answer_without_usage_counts_with_the_most_it_may_cost(server, tmp_path):
    server.answer = lambda _: Response(chat("sad", usage=None))
    found = asked(server, tmp_path, count=2, limits=Limits(input_tokens=150))
    assert found.budget.tokens == 2 * 160


def test_a_refusal_is_told_apart(server, tmp_path):
    server.answer = lambda _: Response(chat(None, refusal="I will not."))
    assert asked(server, tmp_path).asked.answers[0]["refused"] is True


def test_an_image_that_cannot_be_read_is_an_error_by_its_name(server, tmp_path):
    def broken():
        yield from faces(2)
        raise DataError("an image cannot be used")

    journal = Journal(tmp_path / "journal.jsonl")
    chosen = Server(base_url=server.url, model="seer")
    asker = Asker(chosen, QUESTION, CLASSES, journal, Budget(Limits(), 10))
    with pytest.raises(DataError, match="cannot be used"):
        asker.ask(broken(), lambda: None)


def test_a_key_that_a_server_repeats_is_written_nowhere(server, tmp_path, monkeypatch):
    key = "s3cret-key-of-some-length"
    monkeypatch.setenv("SEER_KEY", key)
    # Told in an answer, and at the very place where a long message is cut.
    server.script.append(Response(chat(f"happy, says {key}")))
    long = "x" * 275 + key + "x" * 99
    server.answer = lambda _: Response(json.dumps({"error": {"message": long}}).encode(), 400)
    found = asked(server, tmp_path, count=2, concurrency=1, key_variable="SEER_KEY")
    assert found.asked.answers[0]["text"] == "happy, says [key]"
    kept = (tmp_path / "journal.jsonl").read_text() + repr(found.asked)
    assert "s3cret" not in kept
    assert "s3cret" not in repr(vars(found))


def test_a_content_filter_does_not_end_the_run(server, tmp_path):
    blocked = b'{"error": {"code": "content_filter", "message": "not this one"}}'
    server.answer = lambda _: Response(blocked, 400)
    found = asked(server, tmp_path, count=4, max_failures=2, limits=Limits(input_tokens=150))
    assert [line["refused"] for line in found.asked.answers.values()] == [True] * 4
    assert found.budget.tokens == 4 * 160  # some servers bill it


def test_wherever_a_journal_ends_no_answer_in_it_is_paid_again(server, tmp_path):
    limits = Limits(requests=7, input_tokens=150)
    asked(server, tmp_path, count=4, concurrency=2, limits=limits)
    whole = (tmp_path / "journal.jsonl").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for cut in sorted({0, *ends, *(end - 20 for end in ends)}):
        place = tmp_path / str(cut)
        place.mkdir()
        (place / "journal.jsonl").write_bytes(whole[:cut])
        lines = [json.loads(text) for text in whole[:cut].split(b"\n")[:-1]]
        kept = {line["id"] for line in lines if line["event"] == "answered"}
        under_way = [x["tokens"] for x in lines if x["event"] == "sent" and x["id"] not in kept]
        sent = len(kept) + len(under_way)
        server.seen.clear()
        again = asked(server, place, count=4, concurrency=2, limits=limits)
        # What was under way at the end may have been paid: it counts, and is asked again.
        assert again.budget.requests == sent + len(server.seen) <= 7
        assert again.asked.earlier == len(kept)
        assert len(server.seen) == 4 - len(kept)
        assert again.budget.tokens == 4 * 105 + sum(under_way)


def test_larger_images_with_the_same_journal_do_not_pass_the_budget(server, tmp_path):
    def bill(seen):
        count = seen.pixels.size
        usage = {"prompt_tokens": count, "completion_tokens": 5, "total_tokens": count + 5}
        return Response(chat("sad", usage=usage))

    server.answer = bill
    asked(server, tmp_path, count=2, limits=Limits(tokens=5000, input_tokens=200))
    journal = Journal(tmp_path / "journal.jsonl")
    limits = Limits(tokens=5000, input_tokens=2000)
    asker = Asker(
        Server(base_url=server.url, model="seer"), QUESTION, CLASSES, journal, Budget(limits, 10)
    )
    large = (Face(f"l{n}", n, np.full((24, 24, 3), n, dtype=np.uint8)) for n in range(9))
    asker.ask(large, lambda: None)
    journal.close()
    assert asker.budget.tokens == 2 * (48 + 5) + 2 * (1728 + 5)
    assert "budget is used up" in str(asker.asked.stopped)


def test_half_a_character_can_be_written(server, tmp_path):
    server.answer = lambda _: Response(chat("happy \ud800"))
    text = asked(server, tmp_path).asked.answers[0]["text"]
    assert text.encode() == b"happy ?"
