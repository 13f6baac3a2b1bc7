"""``fer-lab predict`` that somebody stops, and folders that it cannot look into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch

from fer_lab.data.sources.named_images import files_below
from fer_lab.errors import ConfigError, DataError
from fer_lab.models.prediction import _shares
from fer_lab.predict import load_trained
from tests.integration.deployed import picture, save
from tests.integration.runs import command


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Five photographs, with three files between and behind them that cannot be read."""
    folder = tmp_path_factory.mktemp("album")
    for seed, name in enumerate(("a.png", "b.png", "d.png", "e.png", "f.png")):
        save(picture(seed), folder / name)
    for name in ("c.png", "g.png", "h.png"):
        (folder / name).write_bytes(b"not an image")
    return folder


def stopping(model, batch, number):
    """The model, whose process gets a signal while it looks at a batch."""
    seen = []

    def stop(*_):
        seen.append(number)
        if len(seen) == batch:
            os.kill(os.getpid(), number)

    model.register_forward_pre_hook(stop)
    return model


@pytest.fixture
def interruptible():
    """Shells let background jobs ignore Ctrl-C, and tests started by one would."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "why"),
    [(signal.SIGINT, "stopped by Ctrl-C"), (signal.SIGTERM, "stopped by SIGTERM")],
)
def test_what_is_done_when_somebody_stops_it_is_kept_and_gone_on_from(
    trained, predicted, album, monkeypatch, capsys, number, why
):
    before = signal.getsignal(signal.SIGTERM)
    whole = predicted(album, "batch_size=1").copy()
    (predicted.out / "predictions.csv").unlink()

    def loaded(wanted):
        trained = load_trained(wanted)
        stopping(trained.model, 4, number)
        return trained

    with monkeypatch.context() as patch:
        patch.setattr("fer_lab.predict.load_trained", loaded)
        with pytest.raises(KeyboardInterrupt):
            predicted(album, "batch_size=1")
    said = capsys.readouterr().err
    assert f"{why}: 3 done, 4 left" in said
    assert not (predicted.out / "predictions.csv").exists()
    partial = predicted.out / "predictions_partial.csv"
    assert f"partial='{partial}'" in said
    kept = pd.read_csv(partial, index_col="id")
    assert kept.index.tolist() == whole.index[:3].tolist()
    assert json.loads(partial.with_suffix(".json").read_text())["not_looked_at"] == 4
    assert signal.getsignal(signal.SIGTERM) is before
    looked_at = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "fer_lab.models.prediction._shares",
            lambda *given: looked_at.append(len(given[1])) or _shares(*given),
        )
        again = predicted(album, "batch_size=1", f"partial='{partial}'")
    assert sum(looked_at) == 2
    pd.testing.assert_frame_equal(again, whole)
    written = (predicted.out / "predictions.csv").read_text()
    predicted(album, "batch_size=1")
    assert (predicted.out / "predictions.csv").read_text() == written


def test_a_partial_table_of_another_model_or_none_is_refused(trained, predicted, album, tmp_path):
    predicted(album, f"output='{tmp_path / 'some_partial.csv'}'")
    content = torch.load(trained[0] / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["backbone.head.bias"] += 1
    torch.save(content, tmp_path / "other.ckpt")
    given = f"partial='{tmp_path / 'some_partial.csv'}'"
    with pytest.raises(ConfigError, match="another checkpoint_sha256"):
        predicted(album, given, checkpoint=tmp_path / "other.ckpt")
    (tmp_path / "some_partial.json").unlink()
    with pytest.raises(DataError, match="partial table cannot be read"):
        predicted(album, given)


@pytest.mark.slow
def test_ctrl_c_of_the_command_ends_with_130_and_a_partial_table(trained, tmp_path):
    (tmp_path / "in").mkdir()
    picture_file = save(picture(1), tmp_path / "one.png")
    for number in range(6_000):
        (tmp_path / "in" / f"{number:05}.png").symlink_to(picture_file)
    process = subprocess.Popen(
        command(
            f"checkpoint={trained[0]}", "in", "output=mine.csv", "batch_size=1", task="predict"
        ),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1"},  # a bar that moves, as in a terminal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    head = process.stderr.read(1)  # of the bar, which a second of predicting brings up
    process.send_signal(signal.SIGINT)
    said = head + process.stderr.read()
    assert process.wait() == 130
    assert "Traceback" not in said
    kept = pd.read_csv(tmp_path / "mine_partial.csv")
    assert 0 < len(kept) < 6_000
    assert f"stopped by Ctrl-C: {len(kept):,} done, {6_000 - len(kept):,} left" in said


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder deeper than a path may be long: nobody can list it, whatever the rights."""
    save(picture(1), tmp_path / "in" / "good.png")
    monkeypatch.chdir(tmp_path / "in")
    for _ in range(18):
        Path("x" * 250).mkdir()
        os.chdir("x" * 250)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in" / ("x" * 250)


def test_a_folder_that_cannot_be_listed_is_counted(predicted, closed):
    assert list(predicted(closed.parent).index) == ["good.png"]
    aside = pd.read_csv(predicted.out / "predictions_set_aside.csv")
    assert aside["reason"].tolist() == ["folder that cannot be listed"]
    assert Path(aside["path"][0]).is_relative_to(closed)
    with pytest.raises(DataError, match="no image in it; folders that cannot be listed: 1"):
        predicted(closed)


def test_datasets_warn_of_folders_that_cannot_be_listed(closed, caplog):
    assert files_below(closed.parent) == ["good.png"]
    (record,) = caplog.records
    assert "cannot be listed" in record.getMessage()
    assert files_below(closed.parent / "absent") == []
    assert len(caplog.records) == 1
