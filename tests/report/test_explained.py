"""What a run's page and figures show of regions, merged heatmaps and intensity."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from fer_lab.errors import DataError
from fer_lab.explain.merged import Merged
from fer_lab.explain.merged_files import write_merged
from fer_lab.files import write_json
from fer_lab.report.figures import write_figures
from fer_lab.report.intensity import intensity_figure
from fer_lab.report.merged import merged_figure
from fer_lab.report.page import page
from fer_lab.report.region_facts import difference_words, group_pairs, source_words
from fer_lab.report.region_figures import region_classes_figure, region_differences_figure
from fer_lab.report.run import Run
from fer_lab.report.tables import NO_REGIONS, region_rows
from tests.report.fabricated import write_run
from tests.report.fabricated_explanations import intensity
from tests.report.test_figures import texts
from tests.report.test_page import EVIL, Reader
from tests.report.test_tables import printed

NEW = ("faithfulness", "by_label", "by_prediction", "region_source", "random_model")


def copied(whole_folder, tmp_path):
    return shutil.copytree(whole_folder, tmp_path / "run")


@pytest.fixture
def shown(whole_folder, tmp_path):
    return Reader(page(Run(copied(whole_folder, tmp_path)))).text


def test_numbers_on_the_page_are_those_of_the_facts(shown, run):
    explanation = run.explanation
    row = run.region_differences.query("figure == 'lift' and region == 'nose'").iloc[0]
    for value in (
        explanation["faithfulness"]["deletion"]["area"],
        explanation["faithfulness"]["ablation"]["random_drop"],
        explanation["random_model"]["regions"]["nose"]["ior"],
        explanation["by_label"]["happy"]["nose"]["ior"],
        explanation["by_prediction"]["fear"]["mouth"]["ior"],
        row["difference"],
        row["low"],
        run.intensity["estimators"]["neutral_margin"]["accuracy"],
        run.intensity["estimators"]["counts_signed"]["recall"]["strong"],
    ):
        assert f"{value:.3f}" in shown
    assert f"{run.intensity['spearman']['neutral_margin']['happy']:.2f}" in shown
    assert "on 40 of these faces" in shown
    assert "outlines from landmarks" in shown
    assert "for 118 of 120 faces" in shown


def test_the_page_says_first_how_far_to_trust_the_maps(shown):
    section = shown[shown.index("Where the model looks") :]
    assert section.split("\n")[1].startswith("The maps are better than random ones at deletion")
    assert section.index("gain 0.") < section.index("Regions")


def test_one_sided_ranks_raise_a_warning_on_the_page(shown, run):
    warning = run.intensity["estimators"]["counts_positive"]["warning"]
    assert f"Relevance, positive only (published text): {warning}." in shown
    assert "left out: 103 neutral, 88 wrongly predicted" in shown


def test_the_section_on_intensity_is_there_only_where_its_facts_are(whole_folder, tmp_path):
    folder = copied(whole_folder, tmp_path)
    (folder / "explanations" / "intensity.json").unlink()
    assert "Intensity" not in Reader(page(Run(folder))).text


def test_an_older_run_keeps_its_section_without_the_new_parts(whole_folder, tmp_path):
    folder = copied(whole_folder, tmp_path)
    path = folder / "explanations" / "summary.json"
    summary = json.loads(path.read_text())
    for name in ("group_differences.parquet", "merged_test.npz", "intensity.json"):
        (folder / "explanations" / name).unlink()
    for absent in ({}, dict.fromkeys(NEW)):
        write_json(path, {k: v for k, v in summary.items() if k not in NEW} | absent)
        stems = {path.stem for path in write_figures(Run(folder))}
        assert {"prototype", "patches", "region_groups", "explanation"} <= stems
        assert not stems & {"faithfulness", "region_classes", "region_differences"}
        assert not stems & {"merged_test", "intensity"}
        text = Reader(page(Run(folder))).text
        assert "How far the maps can be trusted was not measured." in text
        assert f"{summary['regions']['mouth']['ior']:.3f}" in text
        assert "random lift" not in text
        assert "Differences of groups" not in text


def test_data_without_masks_keep_what_needs_none(whole_folder, tmp_path):
    folder = copied(whole_folder, tmp_path)
    path = folder / "explanations" / "summary.json"
    summary = json.loads(path.read_text())
    summary |= {"regions": {}, "by_label": {}, "by_prediction": {}, "random_model": None}
    summary["by_group"] = {"gender": {}}
    summary["faithfulness"]["ablation"] = None
    write_json(path, summary)
    np.savez(folder / "explanations" / "patches.npz")
    empty = pd.read_parquet(folder / "explanations" / "group_differences.parquet").iloc[:0]
    empty.to_parquet(folder / "explanations" / "group_differences.parquet")
    run = Run(folder)
    figures = write_figures(run)
    stems = {path.stem for path in figures}
    assert {"faithfulness", "merged_test"} <= stems
    assert not stems & {"prototype", "patches", "explanation"}
    assert not {stem for stem in stems if stem.startswith("region")}
    text = Reader(page(run, figures)).text
    assert NO_REGIONS in text
    assert "In no face" not in text
    assert "Merged heatmaps" in text
    assert NO_REGIONS in " ".join(printed(run).split())


def test_names_with_markup_are_text_in_every_new_part(tmp_path):
    groups = {EVIL: (EVIL, "b", "c")}
    folder = write_run(tmp_path / "run", classes=("happy", EVIL), groups=groups, samples=200)
    path = folder / "explanations" / "summary.json"
    summary = json.loads(path.read_text())
    summary["region_source"] = {EVIL: {"source": None, "faces": 1, "reasons": {EVIL: EVIL}}}
    summary["faithfulness"]["baseline"] = EVIL
    summary["faithfulness"]["randomisation"]["modules"][0] = "$x$"
    write_json(path, summary)
    facts = json.loads((folder / "explanations" / "intensity.json").read_text())
    facts |= {"composite": EVIL, "rule": EVIL, "truth": EVIL}
    facts["estimators"][EVIL] = facts["estimators"].pop("neutral_margin")
    facts["estimators"][EVIL]["warning"] = EVIL
    write_json(folder / "explanations" / "intensity.json", facts)
    run = Run(folder)
    stems = {path.stem for path in write_figures(run)}
    assert {"faithfulness", "region_differences", "merged_test", "intensity"} <= stems
    reader = Reader(page(run))
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)
    assert "Nothing to show" not in reader.text
    assert reader.text.count(EVIL) > 20


def test_pairs_hold_the_regions_both_groups_have_in_the_order_given(run):
    order = [row.region for row in region_rows(run.explanation)]
    pairs = group_pairs(run.region_differences, order)
    assert pairs[0].title == "gender: female − male"
    assert [pair.second for pair in pairs[1:]] == ["others"] * (len(pairs) - 1)
    assert [row.region for row in pairs[0].rows] == order
    table = run.region_differences
    lift = table[(table["figure"] == "lift") & (table["first"] == "female")].set_index("region")
    for row in pairs[0].rows:
        assert row.facts["value"] == lift.loc[row.region, "difference"]
        assert row.marked == (lift.loc[row.region, "p_holm"] < 0.05)


def difference(first, region, value, p_holm):
    return {
        "attribute": "age",
        "first": first,
        "second": "others",
        "figure": "lift",
        "region": region,
        "difference": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "p_holm": p_holm,
    }


def test_only_differences_that_holds_correction_leaves_are_told():
    table = pd.DataFrame(
        [
            difference("young", "nose", 0.4, 0.01),
            difference("young", "hair", -0.2, 0.04),
            difference("young", "skin", 0.9, 0.05),
            difference("old", "nose", 0.4, 0.7),
            difference("old", "hat", np.nan, np.nan),
        ]
    )
    pairs = group_pairs(table, ["hair", "nose", "skin", "hat"])
    assert difference_words(pairs) == [
        "age: young − others: more lift at nose; less lift at hair.",
        "No region differs beyond chance in age: old − others.",
    ]
    figure = region_differences_figure(table, ["hair", "nose", "skin", "hat"])
    plain, marked = figure.axes[0].lines[-2:]
    assert marked.get_xdata().tolist() == [-0.2, 0.4]
    assert plain.get_xdata().tolist() == [0.9]
    with pytest.raises(DataError, match="no groups were compared"):
        region_differences_figure(table.iloc[:0], ["nose"])


def test_intervals_are_drawn_where_they_are(run):
    order = [row.region for row in region_rows(run.explanation)]
    figure = region_differences_figure(run.region_differences, order)
    pair = group_pairs(run.region_differences, order)[0]
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)][-1]
    ends = [(segment[0][0], segment[1][0]) for segment in lines.get_segments()]
    assert ends == [(row.facts["low"], row.facts["high"]) for row in pair.rows]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("dataset", "masks are ground truth of the dataset, for 8 of 9 faces."),
        ("parser", "masks are what a face parser says, with its errors, for 8 of 9 faces."),
        (None, "no region masks (parser: no weights)."),
    ],
)
def test_the_source_of_masks_is_said_in_words(source, words):
    facts = {"source": source, "faces": 9, "covered": 8, "reasons": {"parser": "no weights"}}
    assert source_words({"region_source": {"my_data": facts}}) == [f"my data: {words}"]


def test_the_figure_by_class_has_the_lifts_of_the_facts(run):
    figure = region_classes_figure(run.explanation)
    regions = [row.region for row in region_rows(run.explanation)]
    for axes, key in zip(figure.axes[:2], ("by_label", "by_prediction"), strict=True):
        cells = axes.images[0].get_array()
        for column, measured in enumerate(run.explanation[key].values()):
            for row, region in enumerate(regions):
                lift = measured.get(region, {}).get("lift")
                assert cells[row, column] == lift if lift else np.ma.is_masked(cells[row, column])


def test_merged_heatmaps_stand_by_group_and_expression_on_one_scale(run):
    merged, facts = run.merged_of("test"), run.merged_facts_of("test")
    figure = merged_figure(merged, facts, "a note")
    (axes,) = figure.axes
    (bar,) = axes.child_axes
    expected = merged.heatmaps()
    low, high = np.nanpercentile(expected[:, ::2, ::2], (1, 99))
    assert bar.get_xlim() == pytest.approx((low, high))
    pictures = [image.get_array() for image in axes.images]
    assert len(pictures) == 13
    # The heat of women stands in the middle, that of men to its left.
    hot = [np.median(np.nonzero(cell[..., 1] < 0.3)[1]) for cell in (pictures[0], pictures[7])]
    assert hot[0] - hot[1] > 4
    assert all(len(each.get_segments()) == 10 for each in axes.collections)
    assert texts(figure).count("no face") == 1
    assert texts(figure).count("n = 12") == 13
    assert "156 faces; 5 set aside" in figure.get_supxlabel()
    assert figure.get_supxlabel().endswith("a note")


def test_heatmaps_without_a_face_are_an_error():
    empty = np.zeros((1, 2, 6, 5), dtype=np.float32)
    with pytest.raises(DataError, match="no face was merged"):
        merged_figure(Merged((("female", "happy"),), empty, empty), {"attribute": "gender"})


def test_the_runs_merged_heatmaps_come_back_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    count = rng.integers(0, 4, size=(2, 3, 6, 5)).astype(np.float32)
    merged = Merged((("a", "happy"), ("b", "happy")), rng.random(count.shape) * count, count)
    folder = tmp_path / "run"
    (folder / "explanations").mkdir(parents=True)
    write_json(folder / "run.json", {})
    write_merged(folder / "explanations", "val", merged, {"faces": 7})
    run = Run(folder)
    assert run.merged_splits == ["val"]
    assert run.merged_facts_of("val") == {"faces": 7}
    assert run.merged_of("val").cells == merged.cells
    np.testing.assert_allclose(run.merged_of("val").heatmaps(), merged.heatmaps(), atol=1e-3)
    with pytest.raises(DataError, match=r"no explanations/merged_test\.npz"):
        run.merged_of("test")
    (folder / "explanations" / "merged_val.npz").write_bytes(b"half")
    with pytest.raises(DataError, match="cannot be read"):
        run.merged_of("val")


@pytest.mark.parametrize("part", ["region_differences", "intensity"])
def test_a_missing_fact_says_which_file_and_when_it_is_written(tmp_path, part):
    folder = write_run(tmp_path / "run", splits=(), explained=False, epochs=0)
    with pytest.raises(DataError, match="this run has no explanations/") as error:
        getattr(Run(folder), part)
    assert "written" in error.value.hint


def test_the_figure_of_intensity_has_shares_counts_and_correlations(run):
    facts = run.intensity
    figure = intensity_figure(facts)
    estimators = list(facts["estimators"])
    shares, *confusions, spearman = figure.axes
    lengths = np.array([bar.get_width() for bar in shares.patches]).reshape(3, 3)
    for position, key in enumerate(estimators):
        document = facts["estimators"][key]
        assert lengths[:, position].tolist() == pytest.approx(
            list(document["distribution"].values())
        )
        counts = np.array(document["confusion"])
        cells = [text.get_text().split("\n")[1] for text in confusions[position].texts]
        assert cells == [str(count) for count in counts.ravel()]
        drawn = spearman.lines[position].get_xdata()
        assert list(drawn) == list(facts["spearman"][key].values())


@pytest.mark.parametrize(("truth", "panels"), [(None, 1), ("annotators", 4), ("synthetic", 5)])
def test_what_has_no_truth_is_not_judged(tmp_path, truth, panels):
    rng = np.random.default_rng(0)
    facts = intensity(rng, tmp_path, ("neutral", "happy", "sad"), truth=truth, faces=60)
    assert len(intensity_figure(facts).axes) == panels


def test_no_face_with_a_rank_is_an_error(tmp_path):
    facts = intensity(np.random.default_rng(0), tmp_path, ("happy",), faces=9)
    for document in facts["estimators"].values():
        document["distribution"] = dict.fromkeys(document["distribution"])
    with pytest.raises(DataError, match="no face has a rank"):
        intensity_figure(facts)


def test_reading_a_runs_facts_and_figures_does_not_import_torch():
    code = (
        "import sys, fer_lab.report.page, fer_lab.report.tables; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
