from __future__ import annotations

import pytest

from fer_lab.errors import DataError
from fer_lab.report.roots import named_folders


def test_folders_are_those_named_or_the_usual_ones_that_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_folders("~/runs") == [str(tmp_path / "runs")]
    assert named_folders(["a", 7]) == ["a", "7"]
    for nothing in (None, []):
        with pytest.raises(DataError, match="neither outputs nor multirun"):
            named_folders(nothing)
    (tmp_path / "multirun").mkdir()
    assert named_folders(None) == ["multirun"]
    (tmp_path / "outputs").mkdir()
    assert named_folders([]) == ["outputs", "multirun"]
