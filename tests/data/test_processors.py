"""How many processors a process may use."""

from __future__ import annotations

import os

import pytest

from fer_lab.data.processors import PROCESSORS, processor_count
from fer_lab.errors import ConfigError

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")


@pytest.fixture(autouse=True)
def six(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))


@pytest.mark.parametrize(("given", "expected"), [(None, 6), ("", 6), ("1", 1), ("4", 4), ("9", 6)])
def test_a_share_is_at_most_what_the_process_may_use(monkeypatch, given, expected):
    monkeypatch.delenv(PROCESSORS, raising=False)
    if given is not None:
        monkeypatch.setenv(PROCESSORS, given)
    assert processor_count() == expected


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_processors_is_refused(monkeypatch, given):
    monkeypatch.setenv(PROCESSORS, given)
    with pytest.raises(ConfigError, match=f"{PROCESSORS}={given}"):
        processor_count()
