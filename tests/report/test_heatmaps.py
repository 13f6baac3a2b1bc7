from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from matplotlib.image import imread
from rich.console import Console

from fer_lab.errors import ConfigError, DataError
from fer_lab.explain.merged import Merged
from fer_lab.explain.merged_files import read_merged
from fer_lab.files import write_json
from fer_lab.report.heatmaps.cells import common_cells
from fer_lab.report.heatmaps.dendrogram import dendrogram_figure, leaf_colors
from fer_lab.report.heatmaps.figures import differences_figure, heatmaps_figure, write_figures
from fer_lab.report.heatmaps.files import write_study
from fer_lab.report.heatmaps.page import page
from fer_lab.report.heatmaps.study import Study, overall, study_of, training_pairs
from fer_lab.report.heatmaps.summary import heatmaps_summary
from fer_lab.report.heatmaps.trainings import doubts, read_trainings
from fer_lab.report.heatmaps.words import cautions, conclusions
from tests.report.merged_runs import (
    LABELS,
    SIZE,
    planted,
    three_way,
    write_run,
    write_study_runs,
)

GENDERS = ["female", "male"]
CELLS = [(group, label) for group in GENDERS for label in LABELS]
ABOUT = {
    "split": "test", "notes": None, "command": "fer-lab heatmaps", "min_images": 30,
    "left_out": [], "warnings": [],
}  # fmt: skip


def made(root, cells=CELLS, **options) -> Study:
    trainings, _ = read_trainings([root], "test")
    study = study_of(trainings, cells, resamples=options.pop("resamples", 20), seed=1)
    study.facts.update(ABOUT, warnings=doubts(trainings, "test"))
    return study


def simple(trained_on="mixed", **options) -> Merged:
    return planted(three_way()[trained_on], **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study_runs(folder)
    return folder


@pytest.fixture(scope="module")
def study(root) -> Study:
    return made(root)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("seeds")
    write_study_runs(folder, seeds=(1, 2))
    return made(folder)


def test_names_say_training_set_test_set_and_expression(study):
    assert study.names == tuple(
        f"{train}-{test}/{label}"
        for train in ("FE", "MA", "MI")
        for test in ("FE", "MA")
        for label in LABELS
    )
    assert study.heatmaps.shape == (18, SIZE[1], SIZE[0])
    assert study.heatmaps.dtype == np.float32


def test_heatmaps_are_those_in_the_files(root, study):
    trainings, _ = read_trainings([root], "test")
    path = next(each.run.path for each in trainings if each.name == "MA")
    merged = read_merged(path / "explanations" / "merged_test.npz")
    own = merged.heatmaps()[merged.cells.index(("female", "sad"))]
    np.testing.assert_array_equal(study.heatmaps[study.names.index("MA-FE/sad")], own)


def test_distances_between_training_sets_stand_beside_the_higher_floor(study):
    place = {name: n for n, name in enumerate(study.names)}
    rows = study.facts["training_distances"]
    assert len(rows) == 3 * 2 * 3
    for row in rows:
        code = {"female": "FE", "male": "MA"}[row["test"]]
        one, two = (
            place[f"{row[side]}-{code}/{row['expression']}"] for side in ("first", "second")
        )
        assert row["distance"] == study.comparison.distances[one, two]
        floors = [study.facts["heatmaps"][n]["noise_floor"] for n in (one, two)]
        assert row["floor"] == max(floors)
        assert row["above"] == (row["distance"] > max(floors))
        assert row["seed_distance"] is None


def test_training_sets_are_ranked_by_their_mean_distance(study):
    pairs = study.facts["training_pairs"]
    assert {(pair["first"], pair["second"]) for pair in pairs[:2]} == {("FE", "MA"), ("MA", "MI")}
    assert (pairs[2]["first"], pairs[2]["second"], pairs[2]["above"]) == ("FE", "MI", 0)
    assert all(one["distance"] >= two["distance"] for one, two in pairwise(pairs))
    rows = [
        r for r in study.facts["training_distances"] if (r["first"], r["second"]) == ("FE", "MA")
    ]
    mean = np.mean([row["distance"] for row in rows])
    found = next(pair for pair in pairs if (pair["first"], pair["second"]) == ("FE", "MA"))
    assert found["distance"] == pytest.approx(mean)
    assert found["cells"] == 6
    most = study.facts["most_different"]
    assert (most["first"], most["second"]) == (pairs[0]["first"], pairs[0]["second"])


def test_support_of_the_most_different_pair_is_its_share_of_draws(study):
    place = {name: n for n, name in enumerate(study.names)}
    wins = []
    for distances in study.comparison.resampled:
        means = {
            pair: np.mean(
                [
                    distances[
                        place[f"{pair[0]}-{test}/{label}"], place[f"{pair[1]}-{test}/{label}"]
                    ]
                    for test in ("FE", "MA")
                    for label in LABELS
                ]
            )
            for pair in (("FE", "MA"), ("FE", "MI"), ("MA", "MI"))
        }
        wins.append(max(means, key=means.get))
    most = study.facts["most_different"]
    assert most["support"] == np.mean([win == (most["first"], most["second"]) for win in wins])


def test_several_seeds_are_names_of_their_own_and_a_floor(seeds):
    assert seeds.names[0] == "FE-FE s1/happy"
    assert list(seeds.codes) == ["FE s1", "FE s2", "MA s1", "MA s2", "MI s1", "MI s2"]
    place = {name: n for n, name in enumerate(seeds.names)}
    row = next(
        row
        for row in seeds.facts["training_distances"]
        if (row["first"], row["second"], row["test"], row["expression"])
        == ("FE", "MA", "male", "sad")
    )
    distances = seeds.comparison.distances
    across = [
        distances[place[f"FE-MA s{one}/sad"], place[f"MA-MA s{two}/sad"]]
        for one in (1, 2)
        for two in (1, 2)
    ]
    own = [distances[place[f"{c}-MA s1/sad"], place[f"{c}-MA s2/sad"]] for c in ("FE", "MA")]
    assert row["distance"] == pytest.approx(np.mean(across))
    assert row["seed_distance"] == pytest.approx(np.mean(own))
    assert not any("one run of each training set" in text for text in seeds.facts["warnings"])
    assert seeds.facts["aspects"]["seed"] > 0


def test_differences_of_several_seeds_are_those_of_their_means(seeds):
    place = {name: n for n, name in enumerate(seeds.names)}
    found = seeds.contrasts["happy"]["FE-FE − MA-FE"]
    for side, code in ((found.first, "FE"), (found.second, "MA")):
        both = [seeds.heatmaps[place[f"{code}-FE s{seed}/happy"]] for seed in (1, 2)]
        np.testing.assert_allclose(side, np.mean(both, axis=0), atol=1e-4)


def test_differences_are_the_studys_and_those_on_the_same_faces(study):
    place = {name: n for n, name in enumerate(study.names)}
    assert list(study.contrasts) == list(LABELS)
    for label, named in study.contrasts.items():
        assert list(named) == ["FE-FE − MA-MA", "FE-FE − MA-FE", "FE-MA − MA-MA"]
        for title, each in named.items():
            for side, name in zip((each.first, each.second), title.split(" − "), strict=True):
                np.testing.assert_allclose(
                    side, study.heatmaps[place[f"{name}/{label}"]], atol=1e-5
                )


def test_the_first_difference_of_models_that_learnt_the_same_is_noise(tmp_path):
    patterns = three_way()["female"]
    for number, split in enumerate(GENDERS):
        write_run(tmp_path / split, planted(patterns, seed=number), trained_on=split)
    study = made(tmp_path, resamples=100)
    shares = [
        row["share_above"] for row in study.facts["differences"] if "MA-FE" in row["difference"]
    ]
    assert max(shares) < 0.12
    assert study.facts["training_pairs"][0]["above"] == 0
    assert "No two training sets are told apart" in conclusions(study.facts)[0]


def test_one_run_alone_is_compared_with_itself(tmp_path):
    write_run(tmp_path / "one", simple())
    study = made(tmp_path)
    assert study.facts["training_pairs"] == []
    assert study.facts["most_different"] is None
    assert study.contrasts == {}
    assert differences_figure(study) is None
    assert "One training set alone" in conclusions(study.facts)[0]
    assert 'id="distances"' not in page(study.facts, write_figures(study, tmp_path))


def test_a_single_heatmap_has_no_tree(tmp_path):
    write_run(tmp_path / "one", simple())
    study = made(tmp_path, CELLS[:1])
    assert dendrogram_figure(study) is None
    assert [path.name for path in write_study(study, tmp_path)] == [
        "heatmaps.npz", "distances.csv", "heatmaps.json",
    ]  # fmt: skip


def test_runs_without_heatmaps_or_end_are_left_out_of_a_folder(tmp_path):
    write_run(tmp_path / "good", simple())
    write_run(tmp_path / "stopped", simple(), seed=2, record={"status": "failed"})
    bare = write_run(tmp_path / "bare", simple(), seed=3)
    (bare / "explanations" / "merged_test.npz").unlink()
    trainings, left_out = read_trainings([tmp_path], "test")
    assert [each.name for each in trainings] == ["MI"]
    assert {each["what"].rpartition("/")[2]: each["why"] for each in left_out} == {
        "stopped": "the run is failed",
        "bare": "the run has no merged heatmaps of the test set",
    }
    with pytest.raises(DataError, match="no merged heatmaps"):
        read_trainings([bare], "test")
    with pytest.raises(DataError, match="no runs with merged heatmaps") as error:
        read_trainings([tmp_path], "val")
    assert "val set" in error.value.what


def test_a_run_named_twice_counts_once(tmp_path):
    run = write_run(tmp_path / "a" / "one", simple())
    trainings, _ = read_trainings([run, tmp_path, tmp_path / "a"], "test")
    assert len(trainings) == 1


def test_runs_of_one_split_are_told_apart_by_what_differs(tmp_path):
    choices = {"split": "mixed", "dataset": "synthetic"}
    for number, model in enumerate(("vgg16", "resnet50")):
        write_run(
            tmp_path / model, simple(seed=number), seed=number,
            record={"choices": {**choices, "model": model}},
        )  # fmt: skip
    write_run(tmp_path / "female", simple("female"), trained_on="female")
    trainings, _ = read_trainings([tmp_path], "test")
    assert [each.name for each in trainings] == ["FE", "MI s0 vgg16", "MI s1 resnet50"]


def test_runs_that_nothing_tells_apart_are_refused(tmp_path):
    for place in ("one", "two"):
        write_run(tmp_path / place, simple())
    with pytest.raises(ConfigError, match="differ in nothing") as error:
        read_trainings([tmp_path], "test")
    assert "one" in error.value.where
    assert "two" in error.value.where


def test_an_explained_checkpoint_is_named_by_its_training(tmp_path):
    origin = write_run(tmp_path / "train", simple(), trained_on="female", seed=4)
    record = {"task": "evaluate", "checkpoint": str(origin / "checkpoints" / "best.ckpt")}
    explained = write_run(tmp_path / "explained", simple(), trained_on="mixed", record=record)
    lost = {"task": "evaluate", "checkpoint": "/nowhere/checkpoints/a.ckpt", "name": "mine"}
    alone = write_run(tmp_path / "alone", simple(), trained_on="mixed", record=lost)
    trainings, _ = read_trainings([explained, alone], "test")
    assert [(each.name, each.split) for each in trainings] == [("FE", "female"), ("mine", "mine")]


@pytest.mark.parametrize(
    ("facts", "size"), [({"attribute": "race"}, None), ({}, (SIZE[1], SIZE[0] + 1))]
)
def test_heatmaps_of_other_cells_or_sizes_are_refused(tmp_path, facts, size):
    write_run(tmp_path / "one", simple(), trained_on="female")
    other = simple("male")
    if size:
        shape = (*other.total.shape[:2], *size)
        other = Merged(other.cells, np.ones(shape, np.float32), np.ones(shape, np.float32))
    write_run(tmp_path / "two", other, trained_on="male", facts=facts)
    with pytest.raises(DataError, match="cannot be compared"):
        read_trainings([tmp_path], "test")


def test_another_method_or_other_images_are_said(tmp_path):
    ids = [f"face/{n}" for n in range(10)]
    write_run(tmp_path / "1", simple(), trained_on="female", ids=ids)
    write_run(tmp_path / "2", simple(), trained_on="male", ids=ids[3:], facts={"method": "lime"})
    fewer = planted(three_way()["mixed"], images=150)
    write_run(tmp_path / "3", fewer, trained_on="mixed", ids=ids)
    trainings, _ = read_trainings([tmp_path], "test")
    said = doubts(trainings, "test")
    assert "different methods (FE: Grad-CAM, MA: LIME, MI: Grad-CAM)" in said[0]
    assert "MA was tested on other images than FE: 7 of 10 are shared" in said[1]
    assert "MI was explained on other images than FE: 150 and 200 of female happy" in said[2]
    assert "one run of each training set" in said[3]
    assert len(said) == 4


def test_a_model_that_predicts_one_class_is_warned_about(tmp_path):
    for number, split in enumerate(GENDERS):
        folder = write_run(tmp_path / split, simple(seed=number), trained_on=split)
        write_json(folder / "metrics" / "test.json", {"collapsed": split == "male"})
    said = doubts(read_trainings([tmp_path], "test")[0], "test")
    assert said[0].startswith("Predicts two classes or fewer: MA.")


def test_small_and_flat_heatmaps_are_left_out_with_the_reason(tmp_path):
    images = dict.fromkeys(CELLS, 200) | {("male", "sad"): 12}
    few = planted(three_way()["female"], images=images)
    full = simple()
    flat = full.total.copy()
    flat[0] = full.count[0]
    write_run(tmp_path / "1", few, trained_on="female")
    write_run(tmp_path / "2", Merged(full.cells, flat, full.count))
    trainings, _ = read_trainings([tmp_path], "test")
    cells, left_out = common_cells(trainings, GENDERS, None, 30)
    assert cells == [cell for cell in CELLS if cell not in (("male", "sad"), ("female", "happy"))]
    assert left_out == [
        {"what": "FE/happy", "why": "the heatmap of MI is the same everywhere"},
        {"what": "MA/sad", "why": "FE has 12 images, fewer than 30"},
    ]
    with pytest.raises(DataError, match="no heatmap is left"):
        common_cells(trainings, GENDERS, ["sad"], 300)
    with pytest.raises(ConfigError, match="did you mean 'female'"):
        common_cells(trainings, ["femal"], None, 30)
    with pytest.raises(ConfigError, match="did you mean 'happy'"):
        common_cells(trainings, GENDERS, ["hapy"], 30)


def test_expressions_stand_in_the_vocabularys_order(root):
    trainings, _ = read_trainings([root], "test")
    cells, _ = common_cells(trainings, ["male"], ["surprise", "happy"], 30)
    assert cells == [("male", "happy"), ("male", "surprise")]


def test_every_number_is_written(study, tmp_path):
    write_study(study, tmp_path)
    facts = json.loads((tmp_path / "heatmaps.json").read_text(), parse_constant=pytest.fail)
    assert facts == study.facts
    with np.load(tmp_path / "heatmaps.npz", allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == list(study.names)
        np.testing.assert_array_equal(arrays["heatmaps"], study.heatmaps)
        each = study.contrasts["sad"]["FE-FE − MA-MA"]
        written = arrays["differences/sad/FE-FE − MA-MA"]
        np.testing.assert_array_equal(written, 3 * (each.first - each.second))
        np.testing.assert_array_equal(arrays["floors/sad/FE-FE − MA-MA"], each.floor)
    distances = pd.read_csv(tmp_path / "distances.csv", index_col=0)
    assert list(distances) == list(distances.index) == list(study.names)
    np.testing.assert_allclose(distances, study.comparison.distances)
    linkage = pd.read_csv(tmp_path / "linkage.csv")
    np.testing.assert_allclose(
        linkage[["first", "second", "height", "size"]], study.comparison.tree
    )
    np.testing.assert_allclose(linkage["support"], study.comparison.support)
    assert set(linkage["members"].iloc[-1].split("; ")) == set(study.names)
    assert [len(text.split("; ")) for text in linkage["members"]] == linkage["size"].tolist()


def test_figures_are_written_and_not_blank(study, tmp_path):
    written = write_figures(study, tmp_path)
    assert list(written) == ["heatmaps", "dendrogram", "differences"]
    for path in written.values():
        pixels = imread(path)
        assert pixels.shape[1] == 1050
        assert pixels[..., :3].min() < 0.4


def test_the_grid_says_where_a_heatmap_was_left_out(root):
    study = made(root, [cell for cell in CELLS if cell != ("male", "sad")])
    axes = heatmaps_figure(study).axes[0]
    assert [text.get_text() for text in axes.texts] == ["left out"] * 3
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"{train}-{test}" for train in ("FE", "MA", "MI") for test in ("FE", "MA")
    ]
    assert len(axes.images) == 15
    assert list(study.contrasts) == ["happy", "surprise"]


def test_what_is_below_its_noise_is_grey(study):
    images = [image.get_array() for image in differences_figure(study).axes[0].images]
    assert len(images) == 7 * len(LABELS)
    main = study.contrasts["happy"]["FE-FE − MA-MA"]
    below = 3 * np.abs(main.first - main.second) <= main.floor
    assert 0 < below.mean() < 1
    grey = np.isclose(images[2][..., :3], np.array([0xC9, 0xCD, 0xD3]) / 255).all(-1)
    np.testing.assert_array_equal(grey, below)


def test_leaves_have_the_colour_of_their_training_set_and_branches_their_support(study):
    axes = dendrogram_figure(study).axes[0]
    color = {"FE": "#0072B2", "MA": "#D55E00", "MI": "#009E73"}
    for label in axes.get_yticklabels():
        assert label.get_color() == color[label.get_text()[:2]]
    assert {label.get_text() for label in axes.get_yticklabels()} == set(study.names)
    shown = [text.get_text() for text in axes.texts]
    assert shown == [f"{100 * share:.0f}" for share in study.comparison.support[:-1]]
    assert len(set(leaf_colors(["a", "b", "a"]))) == 2


def test_the_page_escapes_and_says_what_matters(study, tmp_path):
    facts = study.facts | {"notes": "<b>bold</b>", "left_out": [{"what": "a", "why": "<i>"}]}
    text = page(facts, write_figures(study, tmp_path))
    assert "<b>bold" not in text
    assert "&lt;i&gt;" in text
    assert text.count("data:image/png") == 3
    for sentence in (*conclusions(facts), *cautions(facts)):
        assert str(escape(sentence)) in text
    assert "only they are about the models" in text
    assert "<script" not in text


def test_the_summary_fits_80_columns(study, seeds):
    for facts in (study.facts, seeds.facts):
        console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        console.print(heatmaps_summary(facts))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 80
        assert any("look at faces most differently" in line for line in lines)
    assert "between seeds 0." in " ".join(lines)


def test_pairs_of_no_training_are_an_empty_table(study):
    one = [cell for cell in study.cells if cell[0] == "MI"]
    table = training_pairs(one, {"MI": "MI"}, study.comparison)
    assert table.empty
    assert overall(table).empty
