from __future__ import annotations

import threading

import pytest

from fer_lab.data import progress
from fer_lab.data.progress import track
from fer_lab.data.threads import map_in_threads


def test_short_work_shows_nothing(capsys):
    assert list(track(range(5), total=5, description="counting")) == list(range(5))
    assert capsys.readouterr() == ("", "")


def test_long_work_shows_a_bar_on_standard_error(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    assert list(track(iter(range(5)), total=5, description="counting")) == list(range(5))
    output, shown = capsys.readouterr()
    assert output == ""
    assert "counting" in shown
    assert "5/5" in shown


def test_results_come_in_order():
    items = list(range(1000))
    assert list(map_in_threads(lambda item: item**2, items, description="")) == [
        n**2 for n in items
    ]
    assert list(map_in_threads(str, [], description="")) == []


def test_an_error_drops_what_has_not_begun():
    begun = []
    failed = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            failed.set()
            raise KeyError(item)

    with pytest.raises(KeyError):
        list(map_in_threads(work, range(100_000), description="", threads=1))
    assert failed.is_set()
    assert len(begun) < 100_000
