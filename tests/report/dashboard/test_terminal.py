"""Runs listed on the terminal."""

from __future__ import annotations

import pandas as pd
import pytest
from rich.console import Console

from fer_lab.errors import ConfigError, DataError
from fer_lab.report.dashboard.terminal import all_runs, chosen, run_list, sorted_runs


@pytest.fixture(scope="module")
def found(place):
    return all_runs([place / "outputs", place / "multirun"])


def printed(frame, width=80, total=None):
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(run_list(frame, total=total or len(frame), width=width))
    return capture.get()


def test_every_run_is_listed_once_oldest_first(place, found):
    assert len(found) == len(list(place.rglob("run.json")))
    assert found["started"].dropna().is_monotonic_increasing
    again = all_runs([place, place / "outputs"])
    assert sorted(again["path"]) == sorted(found["path"])


def test_short_figures_are_the_test_s_else_those_of_validation(tmp_path):
    for name, summary in {
        "a": '{"test/accuracy": 0.5, "val/accuracy": 0.25, "test/fairness/bias": 0.125}',
        "b": '{"val/accuracy": 0.75, "val/collapsed": 1.0}',
        "c": "{}",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(f'{{"name": "{name}", "summary": {summary}}}')
    found = all_runs([tmp_path]).set_index("name")
    assert found.loc["a", "accuracy"] == 0.5
    assert found.loc["b", "accuracy"] == 0.75
    assert pd.isna(found.loc["c", "accuracy"])
    assert found.loc["a", "bias"] == 0.125
    assert pd.isna(found.loc["b", "bias"])
    assert "0.750†" in printed(found.reset_index())


def test_runs_are_chosen_by_any_column(found):
    kept = chosen(found, {"model": "resnet50", "split": ["female", "male"], "status": "finished"})
    assert set(kept["split"]) == {"female", "male"}
    assert len(kept) == 5
    assert list(chosen(found, {"seed": 2})["seed"].unique()) == [2]
    assert set(chosen(found, {"model": None})["model"].isna()) == {True}


def test_runs_are_sorted_with_the_largest_last_and_the_unknown_first(found):
    rising = sorted_runs(found, "accuracy")["accuracy"]
    known = rising.dropna()
    assert rising.isna().sum() > 0
    assert rising.isna().iloc[: rising.isna().sum()].all()
    assert known.is_monotonic_increasing
    falling = sorted_runs(found, "accuracy", reverse=True)["accuracy"]
    assert falling.dropna().is_monotonic_decreasing
    names = list(sorted_runs(found, "model")["model"].dropna())
    assert names == sorted(names)


@pytest.mark.parametrize(
    "mistake", [lambda f: chosen(f, {"modell": "x"}), lambda f: sorted_runs(f, "modell")]
)
def test_a_misspelt_column_names_the_near_one(found, mistake):
    with pytest.raises(ConfigError, match="did you mean 'model'"):
        mistake(found)


def test_nothing_as_asked_for_is_an_error(found):
    with pytest.raises(DataError, match="none of 17 runs"):
        chosen(found, {"model": "vgg16"})


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there are no runs"):
        all_runs([tmp_path])


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_list_fits_the_terminal_and_says_all(found, width):
    text = printed(found, width)
    assert max(map(len, text.splitlines())) <= width
    plain = "".join(text.split())
    for each in ("synthetic-female-resnet50-s1", "damaged", "interrupted", "failed"):
        assert each in plain
    for path in found["path"]:
        assert path.rsplit("/", 3)[-1] in plain
    assert "DataError:nodata" in plain
    assert f"{len(found)} runs" in text
    assert ("started" in text) == (width >= 120)


def test_runs_are_counted_by_how_they_ended_and_tags_stand_with_the_folder(tmp_path, found):
    counted = found["status"].replace("unreadable", "damaged").value_counts()
    parts = [f"{many} {status}" for status, many in counted.items()]
    assert len(parts) == 4
    assert f"{len(found)} runs ({', '.join(parts)})" in " ".join(printed(found, 200).split())
    (tmp_path / "run.json").write_text('{"status": "finished", "tags": ["pareto", "one"]}')
    one = printed(all_runs([tmp_path]), 200)
    assert f"{tmp_path} · pareto, one" in one
    assert "1 run\n" in one


def test_what_a_name_does_not_say_stands_below_it(found):
    text = printed(found[found["name"] == "fewer"])
    assert "resnet50, synthetic, mixed" in text
    named = printed(found[found["name"] == "synthetic-female-resnet50-s1"])
    assert "resnet50, synthetic" not in named


def test_markup_and_control_characters_in_names_do_nothing(tmp_path):
    (tmp_path / "run.json").write_text('{"name": "[red]x[/red]\\u001b[2J", "status": "failed"}')
    text = printed(all_runs([tmp_path]), 200)
    assert "[red]x[/red]\N{REPLACEMENT CHARACTER}[2J" in text
    assert "\x1b" not in text


def test_a_part_of_the_runs_says_of_how_many(found):
    assert f"2 of {len(found)} runs" in printed(found.head(2), total=len(found))
