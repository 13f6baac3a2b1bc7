"""Tables of many runs: figures recomputed from their predictions with pandas."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from fer_lab import load_run
from fer_lab.errors import ConfigError, DataError
from fer_lab.files import write_json
from fer_lab.metrics import FairnessReport
from fer_lab.report.run_tables.formats import Style, markdown
from fer_lab.report.run_tables.measures import figures
from fer_lab.report.run_tables.table import Cell, RunTable, run_table
from tests.report.fabricated import write_run

CONFIG = """\
seed: {seed}
name: run-${{seed}}
dataset: {{name: {dataset}}}
split: {{name: mixed, fold: {fold}, where: {{race: null}}}}
model: {{_target_: tests.report.tiny_model.TinyModel, lr: {lr}}}
data: {{seed: '${{seed}}', folder: '${{hydra:runtime.output_dir}}'}}
"""


def made(
    root: Path,
    folder: str,
    *,
    model: str = "resnet50",
    dataset: str = "affectnet",
    seed: int = 1,
    fold: int = 0,
    lr: float = 0.001,
    draw: int = 0,
    collapsed: bool = False,
    **record: object,
) -> Path:
    """A run of made-up predictions, few classes and one attribute, so that it is written soon."""
    day = f"2026-03-01T10:00:{len(list(root.glob('*'))):02d}+00:00"
    choices = {"model": model, "dataset": dataset, "split": "mixed", "logger": f"of-{folder}"}
    path = write_run(
        root / folder,
        classes=("happy", "sad", "anger"),
        groups={"gender": ("female", "male")},
        samples=200,
        explained=False,
        epochs=0,
        seed=draw or seed,
        collapsed=collapsed,
        record={"seed": seed, "choices": choices, "started": day, "tags": [], **record},
    )
    text = CONFIG.format(seed=seed, dataset=dataset, fold=fold, lr=lr)
    (path / ".hydra" / "config.yaml").write_text(text)
    return path


def accuracy(path: Path, split: str = "test") -> float:
    faces = pd.read_parquet(path / "predictions" / f"{split}.parquet")
    return float((faces["label"] == faces["prediction"]).mean())


def only(table: RunTable, row: int = 0, column: int = 0) -> Cell:
    cell = table.cells[row][column]
    assert cell is not None
    return cell


def test_runs_of_several_seeds_are_one_cell_with_mean_and_sample_deviation(tmp_path):
    paths = [made(tmp_path, f"s{seed}", seed=seed) for seed in (1, 2, 3)]
    values = pd.Series([accuracy(path) for path in paths])
    table = run_table(tmp_path, rows="model", columns="accuracy")
    assert table.labels == (("resnet50",),)
    assert (only(table).value, only(table).sd) == pytest.approx((values.mean(), values.std()))
    assert only(table).count == 3
    assert only(table).low is None
    assert table.added == ()


def test_folds_are_aggregated_as_seeds_are(tmp_path):
    paths = [made(tmp_path, f"f{fold}", fold=fold, draw=fold + 5) for fold in (0, 1)]
    cell = only(run_table(tmp_path, rows="model", columns="val/accuracy"))
    values = pd.Series([accuracy(path, "val") for path in paths])
    assert (cell.value, cell.sd) == pytest.approx((values.mean(), values.std()))


def test_a_single_run_shows_the_interval_of_its_metrics_file(tmp_path):
    path = made(tmp_path, "one")
    facts = json.loads((path / "metrics" / "test.json").read_text())
    cell = only(run_table(tmp_path, rows="model", columns="fairness/gender/demographic_parity"))
    gap = facts["attributes"]["gender"]["metrics"]["demographic_parity"]
    assert cell == Cell(gap["value"], 1, None, gap["low"], gap["high"])


def test_columns_spread_over_a_key_are_what_pandas_pivots(tmp_path):
    rows = []
    for number, (model, dataset, seed) in enumerate(
        [
            ("vgg16", "rafdb", 1),
            ("vgg16", "rafdb", 2),
            ("vgg16", "expw", 1),
            ("resnet50", "rafdb", 1),
        ]
    ):
        path = made(tmp_path, str(number), model=model, dataset=dataset, seed=seed, draw=number + 1)
        rows.append({"model": model, "dataset": dataset, "accuracy": accuracy(path)})
    table = run_table(tmp_path, rows="model", columns="dataset", values="accuracy")
    pivot = pd.DataFrame(rows).pivot_table(index="model", columns="dataset", values="accuracy")
    assert [column.over for column in table.columns] == [("rafdb",), ("expw",)]
    for label, cells in zip(table.labels, table.cells, strict=True):
        for column, cell in zip(table.columns, cells, strict=True):
            expected = pivot.loc[label[0], column.over[0]]
            assert (cell is None) if pd.isna(expected) else cell.value == pytest.approx(expected)


def test_runs_that_differ_in_more_than_the_seed_are_never_averaged(tmp_path):
    made(tmp_path, "a", lr=0.001)
    made(tmp_path, "b", lr=0.01, seed=2)
    table = run_table(tmp_path, rows="model", columns="accuracy")
    assert table.keys == ("model", "model.lr")
    assert table.labels == (("resnet50", "0.001"), ("resnet50", "0.01"))
    assert table.added == ("model.lr",)


def test_an_option_explains_the_settings_that_it_brings(tmp_path):
    made(tmp_path, "a", dataset="rafdb")
    made(tmp_path, "b", dataset="expw")
    assert run_table(tmp_path, rows="model", columns="accuracy").keys == ("model", "dataset")


def test_runs_of_other_tasks_stand_apart(tmp_path):
    made(tmp_path, "a")
    made(tmp_path, "b", task="evaluate", lr=0.5)
    table = run_table(tmp_path, rows="model", columns="accuracy")
    assert table.keys == ("model", "task")
    assert table.labels == (("resnet50", "train"), ("resnet50", "evaluate"))


def test_of_two_runs_of_one_seed_the_newer_counts(tmp_path):
    made(tmp_path, "first", draw=1)
    newer = made(tmp_path, "again", draw=2)
    table = run_table(tmp_path, rows="model", columns="accuracy")
    assert only(table).value == pytest.approx(accuracy(newer))
    assert only(table).count == 1
    assert table.left_out == {"repeated later": 1}


def test_runs_that_did_not_finish_are_left_out_and_counted(tmp_path):
    good = made(tmp_path, "good")
    made(tmp_path, "failed", status="failed", seed=2)
    made(tmp_path, "interrupted", status="interrupted", seed=3)
    (made(tmp_path, "damaged", seed=4) / "metrics" / "test.json").write_text("{")
    bare = made(tmp_path, "bare", seed=5) / "metrics"
    for file in (bare / "val.json", bare / "test.json"):
        file.unlink()
    table = run_table(tmp_path, rows="model", columns="accuracy")
    assert only(table).value == pytest.approx(accuracy(good))
    assert table.left_out == {"failed": 1, "interrupted": 1, "damaged": 1, "without figures": 1}


def test_the_best_is_the_highest_accuracy_and_the_lowest_bias(tmp_path):
    facts = {}
    for number, model in enumerate(("a", "b", "c"), start=1):
        path = made(tmp_path, model, model=model, draw=number)
        facts[model] = json.loads((path / "metrics" / "test.json").read_text())
    table = run_table(tmp_path, rows="model", columns=["accuracy", "fairness/bias", "seconds"])
    high = max(facts, key=lambda model: facts[model]["accuracy"]["value"])
    low = min(facts, key=lambda model: facts[model]["bias"]["value"])
    assert {table.labels[row][0] for row in table.best(0)} == {high}
    assert {table.labels[row][0] for row in table.best(1)} == {low}


def test_a_collapsed_run_is_marked_and_never_the_best(tmp_path):
    made(tmp_path, "constant", model="constant", collapsed=True)
    made(tmp_path, "a", model="a")
    made(tmp_path, "b", model="b", draw=7)
    table = run_table(tmp_path, rows="model", columns="fairness/bias")
    constant = table.labels.index(("constant",))
    assert only(table, constant).collapsed == 1
    assert only(table, constant).value < min(
        cells[0].value for cells in table.cells if not cells[0].collapsed
    )
    assert constant not in table.best(0)
    line = next(line for line in markdown(table, Style()).splitlines() if "constant" in line)
    assert "†" in line
    assert "**" not in line


def test_a_model_that_did_not_answer_for_all_faces_is_marked_and_never_the_best(tmp_path):
    made(tmp_path, "a", model="a")
    made(tmp_path, "b", model="b", draw=7)
    outcomes = {"answered": 200, "refused": 0, "not asked": 0}
    made(tmp_path, "all", model="all", asked={"outcomes": outcomes}, draw=3)
    made(tmp_path, "some", model="some", asked={"outcomes": {**outcomes, "refused": 9}}, draw=5)
    for columns in ("accuracy", "fairness/bias"):
        table = run_table(tmp_path, rows="model", columns=columns)
        marked = {label[0]: only(table, row).partial for row, label in enumerate(table.labels)}
        assert marked == {"a": 0, "b": 0, "all": 0, "some": 1}
    table = run_table(tmp_path, rows="model", columns=["accuracy", "fairness/bias"])
    assert all(("some",) not in {table.labels[row] for row in table.best(i)} for i in range(2))
    text = markdown(table, Style())
    assert [line for line in text.splitlines() if "‡" in line and "some" in line]
    assert "‡: of the faces that an asked model answered for" in text


def test_only_the_runs_asked_for_are_shown(tmp_path):
    for model in ("a", "b", "c"):
        made(tmp_path, model, model=model)
    where = {"model": ["a", "c"], "split.where.race": None}
    table = run_table(tmp_path, rows="model", columns="accuracy", where=where)
    assert table.labels == (("a",), ("c",))
    assert table.left_out == {"not asked for": 1}
    with pytest.raises(DataError, match="no finished run is as asked for"):
        run_table(tmp_path, where={"model": "d"}, columns="accuracy")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rows": "modle"}, "did you mean 'model'"),
        ({"columns": "acuracy"}, "did you mean 'accuracy'"),
        ({"columns": "model.lr"}, "rows=model.lr"),
        ({"columns": "datset", "values": "accuracy"}, "did you mean 'dataset'"),
        ({"where": {"sed": 1}}, "did you mean 'seed'"),
    ],
)
def test_a_name_that_no_run_knows_is_an_error_with_what_was_meant(tmp_path, options, named):
    made(tmp_path, "one")
    with pytest.raises(ConfigError, match=named):
        run_table(tmp_path, **options)


def test_a_figure_that_is_undefined_everywhere_is_a_dash(tmp_path):
    path = made(tmp_path, "one")
    facts = json.loads((path / "metrics" / "test.json").read_text())
    facts["bias"] = dict.fromkeys(facts["bias"])
    write_json(path / "metrics" / "test.json", facts)
    summary = {"test/loss": 1.0}
    record = json.loads((path / "run.json").read_text()) | {"summary": summary}
    write_json(path / "run.json", record)
    table = run_table(tmp_path, rows="model", columns=["fairness/bias", "loss"])
    assert table.cells[0][0] is None
    assert only(table, column=1).value == 1.0
    assert "–" in markdown(table, Style())


def test_a_folder_without_runs_says_so(tmp_path):
    with pytest.raises(DataError, match="no runs at all"):
        run_table(tmp_path)


def test_settings_are_read_with_their_interpolations(tmp_path):
    made(tmp_path, "a", seed=4)
    table = run_table(tmp_path, rows=["data.seed", "data.folder"], columns="accuracy")
    assert table.labels == (("4", "${hydra:runtime.output_dir}"),)


def test_figures_are_named_as_they_are_logged(tmp_path):
    torch.manual_seed(0)
    report = FairnessReport(("happy", "sad"), {"gender": ("female", "male")}, min_count=0)
    label, group = torch.randint(0, 2, (300,)), torch.randint(0, 2, (300,))
    guess = torch.where(torch.rand(300) < 0.7, label, 1 - label)
    report.update(guess, label, {"gender": group})
    write_json(tmp_path / "run.json", {"name": "x", "status": "finished"})
    write_json(tmp_path / "metrics" / "test.json", report.report(samples=20))
    found = figures(load_run(tmp_path), "test")
    logged = {name: float(value) for name, value in report.compute().items()}
    del logged["fairness/undefined"]
    found = {name: figure for name, figure in found.items() if figure is not None}
    assert {name: found[name].value for name in logged} == pytest.approx(logged)
    right = guess == label
    for name, value in {
        "accuracy/gender/male": right[group == 1].double().mean(),
        "recall/sad": right[label == 1].double().mean(),
        "precision/sad": right[guess == 1].double().mean(),
        "chance": label.bincount().max() / 300,
    }.items():
        assert found[name].value == pytest.approx(float(value))
