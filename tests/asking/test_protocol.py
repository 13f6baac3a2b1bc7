"""What responses mean: answers in every form, failures that may pass, and those that may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fer_lab.asking.protocol import Failure, Reply, read_response
from tests.integration.chat_server import chat


def reply(text="happy", usage=None, ended="stop", **message):
    body = json.loads(chat(text, usage, **message))
    body["choices"][0]["finish_reason"] = ended
    found = read_response(200, {}, json.dumps(body).encode())
    assert isinstance(found, Reply)
    return found


def failure(status, content=b"", **headers):
    found = read_response(status, headers, content)
    assert isinstance(found, Failure)
    return found


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_what_a_model_thinks_is_no_answer(field):
    assert reply(None, **{field: "It may be sad."}).text == ""
    assert reply("happy", **{field: "It may be sad."}).text == "happy"


def test_of_parts_only_texts_are_the_answer():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "sad?"}]},
        {"type": "reasoning", "text": "sad!"},
        {"type": "text", "text": "hap"},
        {"text": "py"},
        {"type": "text", "text": None},
    ]
    assert reply(parts).text == "happy"


@pytest.mark.parametrize(
    ("ended", "refused", "whole"),
    [("stop", False, True), ("length", False, False), ("content_filter", True, True)],
)
def test_how_an_answer_ended(ended, refused, whole):
    found = reply(ended=ended)
    assert (found.refused, found.whole) == (refused, whole)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 90, "completion_tokens": 5, "total_tokens": 95}, (90, 5)),
        # Thoughts that are in the total alone are billed like the answer.
        ({"prompt_tokens": 90, "completion_tokens": 5, "total_tokens": 395}, (90, 305)),
        ({"prompt_tokens": 90, "completion_tokens": 5}, (90, 5)),
        ({"prompt_tokens": 90, "total_tokens": 95}, (90, None)),
        ({"prompt_tokens": -1, "completion_tokens": "5"}, (None, None)),
        ("many", (None, None)),
    ],
)
def test_tokens_are_those_that_may_be_billed(usage, expected):
    found = reply(usage=usage)
    assert (found.input_tokens, found.output_tokens) == expected


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "content_filter", "message": "The prompt was filtered"}),
        (400, {"code": "x", "type": "content_policy_violation", "message": "Not allowed"}),
        (403, {"code": "moderation_blocked", "message": "Flagged"}),
    ],
)
def test_an_image_that_is_not_allowed_is_a_refusal_and_no_end(status, error):
    found = read_response(status, {}, json.dumps({"error": error}).encode())
    assert isinstance(found, Reply)
    assert found.refused
    assert error["message"] in found.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("inf", 1e9), ("nan", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(value, seconds):
    assert failure(429, **{"retry-after": value}).wait == seconds


def test_retry_after_as_a_date():
    moment = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < failure(503, **{"retry-after": format_datetime(moment, usegmt=True)}).wait <= 30
    past = format_datetime(moment - timedelta(days=1), usegmt=True)
    assert failure(503, **{"retry-after": past}).wait == 0
    assert failure(503, **{"retry-after": "Thu, 01 Jan 1970 00:00:00 +99999999999999"}).wait is None


@pytest.mark.parametrize(
    ("status", "again", "billed", "final"),
    [
        (429, True, False, False),
        (500, True, False, False),
        (503, True, False, False),
        # A gateway that has lost an answer: it may have been given, and billed.
        (408, True, True, False),
        (502, True, True, False),
        (504, True, True, False),
        (400, False, False, False),
        (401, False, False, True),
        (404, False, False, True),
        (405, False, False, True),
        (307, False, False, True),
    ],
)
def test_what_a_status_means(status, again, billed, final):
    found = failure(status)
    assert (found.again, found.billed, found.final) == (again, billed, final)


def test_an_error_with_a_good_status_is_said():
    found = failure(200, b'{"error": {"code": 429, "message": "Rate limited"}}')
    assert found.again
    assert found.billed
    assert "429, Rate limited" in found.reason


def test_where_a_redirect_leads_is_said():
    assert "https://elsewhere/v1" in failure(308, location="https://elsewhere/v1").reason
