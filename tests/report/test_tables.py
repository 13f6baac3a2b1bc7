from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from fer_lab.files import write_json
from fer_lab.report.run import Run
from fer_lab.report.tables import gap_rows, region_rows, summary
from tests.report.fabricated import write_run

TITLES = {
    "equalized_odds": "Equalized odds",
    "equal_opportunity": "Equal opportunity",
    "demographic_parity": "Demographic parity",
    "treatment_equality": "Treatment equality",
}


def printed(run: Run, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), no_color=True)
    console.print(summary(run))
    return console.file.getvalue()


def block(text: str, heading: str) -> list[str]:
    """The lines from an attribute's heading to the end of its table."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(heading))
    end = next(i for i in range(start, len(lines)) if "Bias (their mean)" in lines[i])
    return lines[start : end + 1]


def test_the_summary_fits_eighty_columns_and_cuts_nothing(run):
    text = printed(run)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_headline_has_the_numbers_of_the_metrics_file(run):
    facts, text = run.metrics, printed(run)
    for title, key in (("Accuracy", "accuracy"), ("Mean class accuracy", "mean_class_accuracy")):
        line = next(line for line in text.splitlines() if line.startswith(title))
        value = facts[key]
        assert f"{value['value']:.3f}" in line
        assert f"{value['low']:.3f}–{value['high']:.3f}" in line
    line = next(line for line in text.splitlines() if line.startswith("By chance"))
    assert f" {run.predictions['label'].value_counts(normalize=True).max():.3f} " in line
    worst = facts["worst_group"]
    line = next(line for line in text.splitlines() if line.startswith("Worst group"))
    assert f"{worst['accuracy']:.3f}" in line
    assert f"{worst['attribute']} = {worst['group']}".replace("_", " ") in line
    bias = facts["bias"]
    line = next(line for line in text.splitlines() if line.startswith("Bias score"))
    assert f"{bias['value']:.3f}" in line
    assert f"null {bias['null_mean']:.3f}, excess {bias['excess']:+.3f}" in line


def test_every_gap_stands_with_its_interval_null_excess_and_p(run):
    text = printed(run)
    for attribute, part in run.metrics["attributes"].items():
        lines = block(text, attribute)
        for metric, gap in part["metrics"].items():
            line = next(line for line in lines if TITLES[metric] in line)
            expected = [
                f"{gap['value']:.3f}",
                f"{gap['low']:.3f}–{gap['high']:.3f}",
                f"{gap['null_mean']:.3f}",
                f"{gap['null_p95']:.3f}",
                f"{gap['excess']:+.3f}",
                f"{gap['p']:.3f}",
            ]
            words = line.removeprefix(f"  {TITLES[metric]}").split()
            assert words[:6] == expected
            assert ("*" in words) == (gap["p"] < 0.05)
            largest = max(gap["per_expression"].items(), key=lambda item: item[1] or -1)[0]
            assert words[-1] == largest


def test_no_expression_is_named_where_there_is_no_gap(run):
    part = run.metrics["attributes"]["gender"]
    gap = part["metrics"]["equal_opportunity"]
    gap["per_expression"] = dict.fromkeys(gap["per_expression"], 0.0)
    assert [row.worst is None for row in gap_rows(part, 30)] == [False, True, False, False, True]


def test_an_inferred_attribute_is_labelled_and_an_annotated_one_is_not(run):
    text = printed(run)
    assert "race (inferred by fairface)" in text
    assert "gender (" not in text


def test_the_five_regions_with_most_lift_are_listed_with_their_ior(run):
    regions = run.explanation["regions"]
    lifts = sorted(regions, key=lambda region: -regions[region]["lift"])[:5]
    rows = region_rows(run.explanation)[:5]
    assert [row.region for row in rows] == lifts
    lines = printed(run).split("Where the model looks most")[1].splitlines()
    for row in rows:
        line = next(line for line in lines if line.startswith(row.title))
        words = line.removeprefix(row.title).split()
        assert words == [
            f"{regions[row.region]['lift']:.2f}",
            f"{run.explanation['random_model']['regions'][row.region]['lift']:.2f}",
            f"{regions[row.region]['ior']:.3f}",
            str(row.ior_rank),
            str(row.present),
        ]


def test_how_far_to_trust_the_maps_stands_below_the_regions(run):
    facts = run.explanation["faithfulness"]
    text = " ".join(printed(run).split("Where the model looks most")[1].split())
    for key in ("deletion", "insertion"):
        gain = facts[key]["gain"]
        d = 2 if gain["value"] >= 0.1 else 3
        shown = f"{gain['value']:.{d}f} ({gain['low']:.{d}f} to {gain['high']:.{d}f})"
        assert f"{key} gain {shown}" in text
    assert text.count("no better than a random map") == 1
    assert "grid 16 × 16" in text


def test_without_a_random_model_its_column_is_left_out(run):
    assert "random model" in printed(run)
    del run.explanation["random_model"], run.explanation["faithfulness"]
    text = printed(run)
    assert "random model" not in text
    assert "How far to trust it: not measured; grid 16 × 16." in text


def test_ior_ranks_are_those_of_a_plain_sort(run):
    regions = run.explanation["regions"]
    plain = sorted((facts["ior"] for facts in regions.values()), reverse=True)
    for row in region_rows(run.explanation):
        assert plain[row.ior_rank - 1] == row.ior


def test_what_was_set_aside_is_counted(run):
    assert "Set aside while reading: 3 unreadable image; 12 no gender label." in printed(run)


def test_undefined_gaps_are_a_dash_with_the_reason(tmp_path):
    text = printed(Run(write_run(tmp_path / "run", samples=60, explained=False)))
    line = next(line for line in block(text, "age") if "Equalized odds" in line)
    assert line.split()[2:] == ["–"] * 6
    assert "–  too few faces: a rate needs 30, in two groups at least" in text
    assert "no attribute has a gap that is defined" in text


def test_a_collapsed_model_is_called_so(tmp_path):
    text = printed(Run(write_run(tmp_path / "run", samples=300, collapsed=True, explained=False)))
    assert text.splitlines()[1].startswith("WARNING  Collapsed")
    assert "No explanation: this run has no explanations/summary.json." in text


def test_without_a_test_set_the_validation_set_stands_for_the_run(tmp_path):
    text = printed(Run(write_run(tmp_path / "run", splits=("val",), samples=300)))
    assert "Validation set, 300 faces" in text


def test_a_failed_run_shows_its_error(tmp_path):
    record = {"status": "failed", "error": "the loss is NaN in epoch 3"}
    folder = write_run(tmp_path / "run", splits=(), explained=False, epochs=0, record=record)
    text = printed(Run(folder))
    assert "· failed" in text
    assert "Error: the loss is NaN in epoch 3" in text
    assert "No metrics" in text


def test_names_are_text_not_markup_and_cannot_steer_the_terminal(tmp_path):
    groups = {"hat[/]": ("[red]a", "b\x1b[2J")}
    record = {"name": "[bold]me[/bold] [/]"}
    folder = write_run(tmp_path / "run", groups=groups, samples=200, record=record)
    text = printed(Run(folder))
    assert "[bold]me[/bold] [/]" in text
    assert "hat[/]" in text
    assert "\x1b" not in text


def test_metrics_of_another_form_do_not_take_the_summary_with_them(run, tmp_path):
    folder = write_run(tmp_path / "run", samples=200)
    facts = json.loads((folder / "metrics" / "test.json").read_text())
    del facts["worst_group"]
    write_json(folder / "metrics" / "test.json", facts)
    text = printed(Run(folder))
    assert "The metrics cannot be shown" in text
    assert "worst_group" in text
    assert "Where the model looks most" in text


def test_no_group_large_enough_to_be_the_worst_is_said(tmp_path):
    folder = write_run(tmp_path / "run", samples=200)
    facts = json.loads((folder / "metrics" / "test.json").read_text())
    facts["worst_group"] = {"attribute": None, "group": None, "accuracy": None, "count": 0}
    write_json(folder / "metrics" / "test.json", facts)
    assert "no group is large enough" in printed(Run(folder))


def test_a_gap_is_marked_by_its_p_alone(run):
    part = run.metrics["attributes"]["gender"]
    for p, marked in ((0.049, True), (0.05, False), (None, False)):
        part["bias"]["p"] = p
        assert gap_rows(part, 30)[-1].marked is marked


@pytest.mark.parametrize("width", [80, 120])
def test_long_attribute_names_break_no_table(tmp_path, width):
    groups = {"a_very_long_attribute_name_that_somebody_chose_for_a_column": ("x" * 60, "y")}
    text = printed(Run(write_run(tmp_path / "run", groups=groups, samples=200)), width)
    assert max(map(len, text.splitlines())) <= width
    assert "a very long attribute name that somebody chose for a column" in text
