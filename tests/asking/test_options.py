"""Options are checked before anything is sent, and a key is repeated nowhere."""

from __future__ import annotations

import math

import pytest

from fer_lab.asking.options import Limits, Question, Server
from fer_lab.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "localhost:8000"}, "no URL"),
        ({"base_url": "http://me:hush@host/v1"}, "password"),
        ({"base_url": "https://host/v1?key=hush"}, "a part after"),
        ({"base_url": None}, "name the server"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"requests_per_minute": "fast"}, "requests_per_minute=fast"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Server(**{"base_url": "http://localhost/v1", "model": "seer", **options})
    assert "hush" not in str(caught.value)


def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(monkeypatch):
    server = Server(base_url="http://localhost/v1", model="seer", key_variable="sk-123-456")
    with pytest.raises(ConfigError, match="no name") as caught:
        server.key()
    assert "sk-123" not in str(caught.value)


def test_dollars_need_prices():
    with pytest.raises(ConfigError, match="needs prices"):
        Limits(dollars=1)


@pytest.mark.parametrize(
    "extra", [{"max_completion_tokens": 9}, {"max_tokens": 9}, {"stream": True}, {"x": math.nan}]
)
def test_fields_that_would_undo_the_budget_or_cannot_be_sent_are_refused(extra):
    with pytest.raises(ConfigError):
        Question("Which?", extra=extra)
