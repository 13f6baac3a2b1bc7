from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fer_lab.data.vocabulary import GENDERS
from fer_lab.errors import DataError
from fer_lab.files import write_json
from fer_lab.report.explanations import patches_figure
from fer_lab.report.figures import (
    confusion_figure,
    curves_figure,
    fairness_figure,
    group_accuracy_figure,
    write_figures,
)
from fer_lab.report.region_figures import region_groups_figure
from fer_lab.report.run import Run
from tests.report.fabricated import write_run

NAMES = {
    *("learning_curves", "confusion", "group_accuracy", "fairness"),
    *("prototype", "patches", "region_groups", "region_classes", "region_differences"),
    *("explanation", "faithfulness", "merged_test", "intensity"),
}


def texts(figure: Figure) -> list[str]:
    return [
        text.get_text().replace(r"\$", "$")
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    ]


def colors(pixels):
    """How many different colours a picture of floats in [0, 1] has."""
    levels = (pixels[..., :3] * 255).astype(np.int64)
    return len(np.unique(levels @ (1, 256, 65536)))


@pytest.fixture
def written(whole_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole_folder, folder)
    return write_figures(Run(folder))


def test_every_figure_is_a_picture_and_nothing_else_is_left(written):
    assert {path.stem for path in written} == NAMES
    assert set(written[0].parent.iterdir()) == set(written)
    for path in written:
        pixels = imread(path)
        assert pixels.shape[1] == 1050
        assert colors(pixels) > 10, path.stem


def test_no_figure_stays_in_pyplots_hands(tmp_path):
    from matplotlib import pyplot, rcParams

    before = dict(rcParams)
    write_figures(Run(write_run(tmp_path / "run", groups={"gender": GENDERS}, samples=200)))
    assert pyplot.get_fignums() == []
    assert dict(rcParams) == before


def test_figures_without_facts_are_left_out(tmp_path):
    failed = write_run(tmp_path / "failed", splits=(), explained=False, epochs=0)
    assert write_figures(Run(failed)) == []
    folder = write_run(tmp_path / "unexplained", explained=False, samples=200)
    assert {path.stem for path in write_figures(Run(folder))} == {
        *("learning_curves", "confusion", "group_accuracy", "fairness")
    }


def test_the_confusion_figure_writes_every_count(run):
    shown = texts(confusion_figure(run.metrics))
    counts = np.array(run.metrics["confusion"])
    for row in counts:
        for cell in row:
            assert f"{cell / row.sum():.2f}\n{cell}" in shown


def test_bars_are_as_long_as_the_groups_accuracies(run):
    figure = group_accuracy_figure(run.metrics)
    for axes, part in zip(figure.axes, run.metrics["attributes"].values(), strict=True):
        lengths = [bar.get_width() for bar in axes.patches]
        assert lengths == [group["accuracy"]["value"] for group in part["groups"].values()]
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert labels == [group.replace("_", " ") for group in part["groups"]]


def test_the_null_band_ends_at_its_95th_percentile(run):
    figure = fairness_figure(run.metrics)
    for axes, part in zip(figure.axes, run.metrics["attributes"].values(), strict=True):
        gaps = [*part["metrics"].values(), part["bias"]]
        assert [bar.get_width() for bar in axes.patches] == [gap["null_p95"] for gap in gaps]
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert [point.get_xdata()[0] for point in points] == [gap["value"] for gap in gaps]
        filled = [point.get_markerfacecolor() != "white" for point in points]
        assert filled == [gap["p"] < 0.05 for gap in gaps]


def test_the_inferred_attribute_is_labelled_in_figures(run):
    for figure in (fairness_figure(run.metrics), group_accuracy_figure(run.metrics)):
        assert "race (inferred by fairface)" in texts(figure)


def test_undefined_gaps_are_said_and_break_nothing(tmp_path):
    run = Run(write_run(tmp_path / "run", samples=60))
    assert texts(fairness_figure(run.metrics)).count("too few faces") == 15
    assert len(write_figures(run)) == len(NAMES)


def test_a_single_epoch_and_gaps_in_the_history_are_drawn(run):
    history = run.history.astype(float)
    assert len(curves_figure(history.iloc[:1]).axes) == 4
    history.loc[2:, "val/loss"] = np.nan
    line = curves_figure(history).axes[0].lines[1]
    assert len(line.get_xdata()) == 2


def test_curves_of_losses_alone_are_one_panel(run):
    assert len(curves_figure(run.history[["epoch", "train/loss"]]).axes) == 1
    with pytest.raises(DataError):
        curves_figure(run.history[["epoch"]])


def test_patch_rows_show_the_patches_themselves(run):
    patches = run.patches
    mosaic = patches_figure(patches).axes[0].images[0].get_array()
    regions = list(patches)
    for row, region in ((0, regions[0]), (regions.index("hat"), "hat")):
        for column in range(len(patches[region].image)):
            cell = mosaic[row * 18 : row * 18 + 16, column * 18 : column * 18 + 16]
            assert np.array_equal(cell, patches[region].image[column])


def test_groups_are_compared_on_lift(run):
    figure = region_groups_figure(run.explanation)
    groups = run.explanation["by_group"]["gender"]
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines[:2]] == list(groups)
    lifts = sorted((facts["lift"] for facts in groups["female"].values()), reverse=True)
    assert max(axes.lines[0].get_xdata()) == pytest.approx(lifts[0])


def test_names_with_dollars_or_of_great_length_are_plain_text(tmp_path):
    groups = {r"$\frac$": ("$x", "a$_{b}$", "_hidden", "w" * 300)}
    run = Run(write_run(tmp_path / "run", groups=groups, samples=400))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(write_figures(run)) == len(NAMES)
    shown = texts(group_accuracy_figure(run.metrics))
    assert {r"$\frac$", "$x", "a$ {b}$", " hidden", "w" * 25 + "…"} <= set(shown)


def test_damaged_facts_cost_only_their_own_figures(tmp_path):
    folder = write_run(tmp_path / "run", samples=200)
    facts = json.loads((folder / "metrics" / "test.json").read_text())
    facts["attributes"] = {"gender": {}}
    write_json(folder / "metrics" / "test.json", facts)
    stems = {path.stem for path in write_figures(Run(folder))}
    assert stems == NAMES - {"fairness", "group_accuracy"}
