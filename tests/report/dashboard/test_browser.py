"""The page in a browser, used as a reader uses it; skipped with a notice where there is none."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import write_dashboard
from tests.report.browser import needed
from tests.report.dashboard.conftest import EVIL
from tests.report.dashboard.in_page import HERE, run_in_page
from tests.report.dashboard.made_up import write_comparable
from tests.report.fabricated import CLASSES

pytestmark = needed


@pytest.fixture(scope="module")
def seen(path, tmp_path_factory):
    """All that the tests below look at, from one visit."""
    return run_in_page(
        path,
        tmp_path_factory.mktemp("seen"),
        (HERE / "visit.js").read_text(),
    )


def accuracy(run):
    return run["figures"]["accuracy"][0] if "figures" in run else None


def test_all_runs_are_listed_the_newest_first(seen, facts):
    first = seen["first"]
    started = [run.get("started", "") for run in facts["runs"]]
    assert sorted(first["names"]) == sorted(run["name"] for run in facts["runs"])
    assert first["found"] == f"{len(started)} runs"
    assert first["order"] == [["Started (UTC)", "descending"]]
    by_name = {run["name"]: run.get("started", "") for run in facts["runs"]}
    times = [by_name[name] for name in first["names"]]
    assert times == sorted(times, reverse=True)


def test_hostile_names_are_text_and_nothing_is_fetched(seen):
    first = seen["first"]
    assert EVIL in first["names"]
    assert first["title"] == "Runs"
    assert first["elements"] == 0
    assert first["requests"] == 0


def test_reasons_stand_with_the_runs(seen):
    text = seen["first"]["text"]
    for reason in (
        "DataError: no data",
        "run.json cannot be read",
        "metrics/test.json cannot be read",
        "no audit was asked for",
        "the run ended before",
        "bias of datasets: rafdb 0.125",
        "of synthetic-female-resnet50-s1",
    ):
        assert reason in text


def brute_front(points):
    return [
        not collapsed
        and not any(
            a >= accuracy and b <= bias and (a > accuracy or b < bias)
            for a, b, other in points
            if not other
        )
        for accuracy, bias, collapsed in points
    ]


def test_the_front_is_what_nothing_dominates(seen, facts):
    runs = [run for run in facts["runs"] if run.get("set") == 0]
    points = [
        (r["figures"]["accuracy"][0], r["figures"]["bias"][0], r["figures"]["collapsed"])
        for r in runs
    ]
    marks = {(a, b): (front, collapsed) for a, b, front, collapsed in seen["first"]["marks"]}
    assert len(seen["first"]["marks"]) == len(points)
    wanted = brute_front(points)
    assert 0 < sum(wanted) < len(wanted)
    for point, on_front in zip(points, wanted, strict=True):
        assert marks[point[:2]] == (on_front, point[2])
    names = [run["name"] for run, on_front in zip(runs, wanted, strict=True) if on_front]
    assert sorted(seen["first"]["front"]) == sorted(names)
    assert seen["first"]["diamonds"] == len(names)


def test_the_front_of_many_runs_with_ties_is_what_nothing_dominates(entries, tmp_path):
    pattern = next(each for each in entries if each.shown.get("model") == "vit_tiny")
    rng = np.random.default_rng(3)
    many = []
    for number in range(150):
        shown = copy.deepcopy(pattern.shown)
        shown["name"] = f"run {number}"
        figures = shown["figures"]
        skill, digits = float(rng.uniform()), 1 + number % 2  # the better, the less fair
        figures["accuracy"][0] = round(0.5 + 0.4 * skill - 0.1 * float(rng.uniform()), digits)
        figures["bias"][0] = round(0.3 * skill + 0.1 * float(rng.uniform()), digits)
        figures["collapsed"] = number % 7 == 0
        if number % 10 == 1:
            figures["bias"][0] = None
        many.append(replace(pattern, shown=shown))
    path = write_dashboard(many, tmp_path / "many.html")
    found = run_in_page(
        path,
        tmp_path,
        """results.front = front(); results.printed = names().length;
        at("runs").scrollIntoView();
        dispatchEvent(new Event("afterprint")); results.some = names().length;
        at("runs-more").click(); results.all = names().length;""",
    )
    drawn = [each.shown for each in many if each.shown["figures"]["bias"][0] is not None]
    points = [
        (s["figures"]["accuracy"][0], s["figures"]["bias"][0], s["figures"]["collapsed"])
        for s in drawn
    ]
    wanted = [s["name"] for s, on in zip(drawn, brute_front(points), strict=True) if on]
    assert len(wanted) > 2
    assert sorted(found["front"]) == sorted(wanted)
    # A long table is cut, but not on paper, and not when all is asked for.
    assert (found["printed"], found["some"], found["all"]) == (150, 100, 150)


def test_a_heading_sorts_and_pressed_again_turns_round(seen, facts):
    runs = facts["runs"]
    figures = [accuracy(run) for run in runs if accuracy(run) is not None]
    assert seen["falling"][0] == [["Accuracy", "descending"]]
    assert seen["rising"][0] == [["Accuracy", "ascending"]]
    by_name = {run["name"]: accuracy(run) for run in runs}
    falling, rising = ([by_name[name] for name in seen[way][1]] for way in ("falling", "rising"))
    missing = [None] * (len(runs) - len(figures))  # last, either way
    assert falling == sorted(figures, reverse=True) + missing
    assert rising == sorted(figures) + missing
    plain = [n for n in seen["byName"] if n != EVIL]
    assert plain == sorted(plain)


def test_words_and_choices_filter_table_and_charts(seen, facts):
    runs = facts["runs"]
    wanted = [r["name"] for r in runs if r.get("model") in ("vit_tiny", "poster")]
    assert sorted(seen["either"]["names"]) == sorted(wanted)
    assert seen["either"]["found"] == f"{len(wanted)} of {len(runs)} runs"
    assert seen["either"]["marks"] == len(wanted)
    assert all("resnet50-s2" in name for name in seen["both"])
    assert len(seen["both"]) == 4
    assert seen["hostile"] == [EVIL]
    assert seen["nothing"]["rows"] == 0
    assert "No run of this set is left" in seen["nothing"]["chart"]
    assert "No run of this set is left" in seen["nothing"]["groups"]
    assert seen["failed"] == ["failed"]
    assert seen["damaged"] == ["broken"]
    assert sorted(seen["female"]) == sorted(r["name"] for r in runs if r.get("split") == "female")


def test_marks_are_reached_by_the_keyboard_one_after_the_other(seen):
    found = seen["keyboard"]
    figures = sorted({mark[0] for mark in seen["first"]["marks"]}, reverse=True)
    assert found["stops"] == 1
    assert [found["before"][0], found["after"][0]] == figures[:2]
    assert f"accuracy {figures[0]:.3f}" in found["before"][1]
    assert f"accuracy {figures[1]:.3f}" in found["after"][1]
    assert f"accuracy {figures[1]:.3f}" in found["label"]
    assert found["hidden"]
    assert found["kept"]


def test_the_table_of_genders_is_that_of_the_predictions(seen, place):
    rows = []
    sweep = place / "multirun" / "2026-03-01" / "10-00-00"
    # The runs of resnet50; of male and seed 2 the later one counts.
    for number in (0, 1, 2, 8, 4, 5):
        split = json.loads((sweep / str(number) / "run.json").read_text())["choices"]["split"]
        faces = pd.read_parquet(sweep / str(number) / "predictions" / "test.parquet")
        faces["right"] = faces["label"] == faces["prediction"]
        for tested in ("female", "male", "all"):
            part = faces if tested == "all" else faces[faces["gender"] == tested]
            recall = part.groupby("label")["right"].mean().mean()
            rows.append((split, tested, recall, part["right"].mean()))
    means = pd.DataFrame(rows, columns=["split", "tested", "recall", "accuracy"]).groupby(
        ["split", "tested"]
    )
    assert [row[0] for row in seen["genders"]] == ["female", "male", "mixed"]
    for row, accuracies in zip(seen["genders"], seen["gendersAccuracy"], strict=True):
        for place_, tested in enumerate(("female", "male", "all")):
            value, count = row[1 + place_]
            expected = means.mean().loc[(row[0], tested)]
            assert value == pytest.approx(expected["recall"], abs=1e-4)
            assert accuracies[place_] == pytest.approx(expected["accuracy"], abs=1e-4)
            assert count == 2


def test_the_table_of_groups_is_that_of_the_predictions(seen, facts, place):
    runs = {run["name"]: run for run in facts["runs"] if run.get("set") == 0}
    assert len(seen["groups"]) == sum(run.get("set") == 0 for run in facts["runs"])
    for row, recalls, classes in zip(seen["groups"], seen["recalls"], seen["classes"], strict=True):
        name, *values = row
        name = name.removesuffix("†")
        faces = pd.read_parquet(place / runs[name]["folder"] / "predictions" / "test.parquet")
        faces["right"] = faces["label"] == faces["prediction"]
        by_group = faces.groupby("gender")["right"].mean()[["female", "male", "unknown"]]
        assert values == pytest.approx(list(by_group), abs=1e-4)
        happy = faces[faces["label"] == "happy"].groupby("gender")["right"].mean()
        assert recalls[:2] == pytest.approx(list(happy[["female", "male"]]), abs=1e-4)
        assert classes[1] == pytest.approx(
            faces[faces["label"] == "happy"]["right"].mean(), abs=1e-4
        )


def test_regions_are_those_of_the_explained_runs(seen, facts):
    (run,) = [run for run in facts["runs"] if "regions" in run and run.get("set") == 0]
    ((name, *cells),) = seen["regions"]
    assert name == run["name"]
    assert cells == [f"{value:.2f}" for value in run["regions"]["lift"] if value is not None]
    assert seen["random"] == [
        [f"{value:.2f}" for value in run["regions"]["random"] if value is not None]
    ]


def test_another_set_is_shown_by_itself(seen, facts):
    (run,) = [run for run in facts["runs"] if run.get("set") == 1]
    (mark,) = seen["second"]["marks"]
    assert mark[:2] == [run["figures"]["accuracy"][0], run["figures"]["bias"][0]]
    assert seen["second"]["note"].startswith("1 run of this set")
    assert seen["second"]["rows"] == len(facts["runs"])


def test_means_are_over_the_runs_of_an_experiment(seen, facts):
    parts = {}
    for run in facts["runs"]:
        if run.get("set") == 0:
            parts.setdefault(run["experiment"], []).append(run)
    wanted = sorted(np.mean([accuracy(run) for run in part]) for part in parts.values())
    assert max(map(len, parts.values())) == 3
    assert sorted(mark[0] for mark in seen["means"]) == pytest.approx(wanted)
    part = next(part for part in parts.values() if len(part) == 3)
    figures = [accuracy(run) for run in part]
    words = f"(n = 3){np.mean(figures):.3f} ± {np.std(figures, ddof=1):.3f}"
    assert sum(words in line.replace(" ◆on the Pareto front", "") for line in seen["listed"]) == 1


def test_ticked_runs_have_their_curves_drawn(seen, facts):
    wanted = [number for number, run in enumerate(facts["runs"]) if run.get("split") == "male"]
    assert sorted(set(seen["curves"])) == wanted
    assert len(seen["curves"]) == 2 * len(wanted)


def test_runs_without_audited_attributes_are_shown_by_class(tmp_path):
    folder = write_comparable(tmp_path / "run")
    file = folder / "metrics" / "test.json"
    facts = json.loads(file.read_text())
    nothing = {"value": None, "low": None, "high": None}
    facts |= {"attributes": {}, "intersections": {}, "bias": nothing, "worst_group": None}
    file.write_text(json.dumps(facts))
    path = write_dashboard(gather([tmp_path]), tmp_path / "page.html")
    found = run_in_page(
        path,
        tmp_path,
        """results.set = words(at("set")); results.list = words(at("front-list"));
        results.heads = all("#groups-table thead th", words);
        results.genders = words(at("genders-table"));""",
    )
    assert "no attribute audited" in found["set"]
    assert "1 run without a defined bias score: not drawn." in found["list"]
    assert found["heads"] == ["run", *CLASSES]
    assert "No run of this set" in found["genders"]


def test_the_runs_of_a_search_are_told_apart_and_its_front_is_found_by_its_tag(tmp_path):
    for number, (rate, tags) in enumerate(((0.0004, []), (0.01, ["pareto"]), (0.2, []))):
        write_comparable(
            tmp_path / str(number),
            number=number,
            settings=f"optimizer: {{lr: {rate}}}\n",
            record={"name": "search", "tags": tags},
        )
    path = write_dashboard(gather([tmp_path]), tmp_path / "page.html")
    found = run_in_page(
        path,
        tmp_path,
        """const told = () => all("table.runs tbody .told", words);
        results.told = told(); results.listed = all("#front-list .told", words);
        results.rows = all("#groups-table .told", words);
        choose("#front", "Marks by", "tags"); results.kinds = all("#front-chart .key li", words);
        type("lr=0.2"); results.typed = told(); type("");
        choose("#controls", "Tag", "pareto"); results.tagged = told();""",
    )
    everything = ["lr=0.0004", "lr=0.01", "lr=0.2"]
    assert found["told"] == everything[::-1]  # the newest first
    assert sorted(found["listed"]) == sorted(found["rows"]) == everything
    assert found["kinds"] == ["–", "pareto"]
    assert found["typed"] == ["lr=0.2"]
    assert found["tagged"] == ["lr=0.01"]
