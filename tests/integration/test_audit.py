"""``fer-lab audit`` on written layouts of four datasets, its numbers counted by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from scipy.spatial.distance import jensenshannon

import fer_lab.audit
from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.errors import ConfigError
from tests.integration.runs import command
from tests.layouts import affectnet, expw, fer2013, rafdb
from tests.report.browser import CHROMIUM

NAMES = ("affectnet", "rafdb", "fer2013", "expw")
ATTRIBUTES = ("gender", "age", "race")
# What RAF-DB's codes stand for; its third gender is "unsure".
CODES = {
    "gender": ("male", "female", "unknown"),
    "race": ("caucasian", "african_american", "asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
RACES = {"White": "white", "Black": "black", "Middle Eastern": "middle_eastern"}


def run_audit(place: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("hydra.run.dir=run", *overrides, task="audit"),
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )


def table(place: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(place / "run" / "tables" / f"{name}.csv", keep_default_na=name != "counts")


def age_group(years: int) -> str:
    return "0-15" if years < 16 else "16-32" if years < 33 else "33-53" if years < 54 else "54+"


def faces_by_hand(place: Path) -> pd.DataFrame:
    """Every face with what is known of it, from what the layouts' writers say they wrote."""
    rows = []
    written = affectnet.write_csv_release(place / "affectnet", odd=False)
    for image in (image for images in written.images.values() for image in images):
        label = affectnet.CODES[int(image[:3]) - 100]
        if label != "contempt":
            rows.append(("affectnet", label, written.genders[image], "unknown", "unknown"))
    written = rafdb.write_list_form(place / "rafdb", train=20, test=5, odd=False)
    for stem, label in written.labels.items():
        gender, race, age = written.attributes[stem]
        groups = (CODES["gender"][gender], CODES["age"][age], CODES["race"][race])
        rows.append(("rafdb", label, *groups))
    written = fer2013.write_csv_form(place / "fer2013", train=30, odd=False)
    rng = np.random.default_rng(0)
    inferred = []
    for identity, label in written.labels.items():
        groups = ("unknown",) * 3
        if rng.random() < 0.8:
            man, years, race = rng.random() < 0.3, int(rng.integers(1, 80)), rng.choice([*RACES])
            name = identity.removeprefix("fer2013/")
            inferred.append((name, "fer2013", "Man" if man else "Woman", race, years))
            groups = ("male" if man else "female", age_group(years), RACES[race])
        rows.append(("fer2013", label, *groups))
    columns = ["image_path", "dataset", "gender", "race", "age"]
    pd.DataFrame(inferred, columns=columns).to_csv(place / "inferred.csv", index=False)
    written = expw.write(place / "expw", odd=False)
    rows += [("expw", label, *("unknown",) * 3) for label in written.labels.values()]
    return pd.DataFrame(rows, columns=["dataset", "label", *ATTRIBUTES])


def four_datasets(place: Path) -> list[str]:
    return [
        f"dataset=[{','.join(NAMES)}]",
        *(f"dataset.sources.{name}.root={place / name}" for name in NAMES),
        f"data.annotations=[{{kind: demographics, file: '{place / 'inferred.csv'}', "
        "source: FairFace}]",
        "resamples=50",
    ]


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    place = tmp_path_factory.mktemp("audit")
    faces = faces_by_hand(place)
    return place, faces, run_audit(place, *four_datasets(place))


@pytest.fixture(scope="module")
def harmonised(audit, tmp_path_factory):
    place, faces, _ = audit
    here = tmp_path_factory.mktemp("harmonised")
    table = {
        "gender": {},
        "race": {"rafdb": {"caucasian": "white", "african_american": "black", "asian": "asian"}},
        "age": ["0-15", "16-32", "33-53", "54+"],
    }
    words = json.dumps(table).replace('"', "")
    return here, faces, run_audit(here, *four_datasets(place), f"data.harmonise={words}")


def test_the_counts_are_a_crosstab_of_the_files(audit):
    place, faces, done = audit
    assert done.returncode == 0, done.stderr
    found = table(place, "counts")
    found = found[found["count"] > 0].set_index(["dataset", "attribute", "group", "label"])["count"]
    found = found.sort_index()
    for name in NAMES:
        mine = faces[faces["dataset"] == name]
        for attribute in ATTRIBUTES:
            expected = pd.crosstab(mine[attribute], mine["label"]).stack()
            assert found[name, attribute].to_dict() == expected[expected > 0].to_dict()


def test_measures_are_those_of_the_counts(audit):
    place, faces, _ = audit
    found = table(place, "measures").set_index(["dataset", "attribute", "measure"])["value"]
    found = found.sort_index()
    for name, attribute in (("rafdb", "race"), ("fer2013", "age"), ("affectnet", "gender")):
        known = faces[(faces["dataset"] == name) & (faces[attribute] != "unknown")]
        given = pd.crosstab(known[attribute], known["label"], normalize="index").to_numpy()
        pairs = [(a, b) for i, a in enumerate(given) for b in given[:i]]
        apart = np.mean([np.abs(a - b).mean() for a, b in pairs])
        diverging = np.mean([jensenshannon(a, b, base=2) ** 2 for a, b in pairs])
        crowded = np.mean([((a**2).sum() - 1 / 7) / (6 / 7) for a in given])
        mine = found[name, attribute]
        assert mine["wasserstein_distance"] == pytest.approx(apart, abs=1e-12)
        assert mine["jensen_shannon_divergence"] == pytest.approx(diverging, abs=1e-12)
        assert mine["sparsity_index"] == pytest.approx(crowded, abs=1e-12)
        assert mine["bias"] == pytest.approx(mine.drop("bias").mean())


def test_what_is_not_known_is_never_zero(audit):
    place, _, done = audit
    found = table(place, "measures").set_index(["dataset", "attribute"])["value"]
    assert found["expw"].isna().all()
    assert found["affectnet", "race"].isna().all()
    assert "gender: not audited, not known for any face of expw" in done.stdout


def test_attributes_that_differ_are_left_out_of_the_merged_column_with_the_way_to_it(audit):
    place, faces, done = audit
    found = table(place, "measures").set_index(["dataset", "attribute"])["value"]
    assert found["merged"].isna().all()
    absent = json.loads((place / "run" / "audit.json").read_text())["datasets"]["merged"]["absent"]
    assert "african_american" in absent["race"]
    assert "data.harmonise" in absent["race"]
    assert "name a table in data.harmonise" in " ".join(done.stdout.split())
    shares = table(place, "macro")
    labels = shares[(shares["dataset"] == "merged") & (shares["attribute"] == "expression")]
    expected = faces["label"].value_counts()
    assert labels.set_index("value")["count"].to_dict() == expected.to_dict()


def test_harmonised_the_merged_counts_are_the_sums_of_the_datasets(harmonised):
    place, faces, done = harmonised
    assert done.returncode == 0, done.stderr
    counts = table(place, "counts").groupby(["dataset", "attribute", "group", "label"])["count"]
    counts = counts.sum()
    merged = counts["merged"]
    parts = sum(counts[name].reindex(merged.index, fill_value=0) for name in NAMES)
    assert merged.to_dict() == parts.to_dict()
    assert merged.groupby("attribute").sum().to_dict() == dict.fromkeys(ATTRIBUTES, len(faces))
    white = faces["race"].isin(["white", "caucasian"]).sum()
    assert merged["race", "white"].sum() == white


def test_conditional_shares_up_to_three_attributes(harmonised):
    place, faces, _ = harmonised
    micro = table(place, "micro")
    mine = micro[micro["dataset"] == "fer2013"].set_index([*ATTRIBUTES, "label"])
    known = faces[faces["dataset"] == "fer2013"]
    women = known[(known["gender"] == "female") & (known["race"] == "white")]
    adults = women[women["age"] == "33-53"]
    cell = mine.loc[("female", "33-53", "white", "happy")]
    assert (cell["count"], cell["total"]) == ((adults["label"] == "happy").sum(), len(adults))
    share = mine.loc[("female", "all", "white", "sad"), "share"]
    assert share == pytest.approx((women["label"] == "sad").mean())
    four_way = table(place, "four_way")
    assert four_way.groupby("dataset")["share"].sum()["merged"] == pytest.approx(1)


def test_the_terminal_is_80_columns_wide_and_names_the_folder(audit):
    place, _, done = audit
    *tables, page, rest = done.stdout.splitlines()
    assert max(map(len, tables)) <= 80
    assert Path(page.removeprefix("report: ")) == place / "run" / "report.html"
    assert rest == f"tables, figures and audit.json: {place / 'run'}"


def test_the_audit_is_listed_among_the_runs(harmonised):
    place, _, _ = harmonised
    (row,) = fer_lab.runs(place).to_dict("records")
    assert (row["task"], row["status"]) == ("audit", "finished")
    assert row["dataset"] == "+".join(NAMES)
    bias = table(place, "measures").set_index(["dataset", "attribute", "measure"])["value"]
    assert row["bias/merged"] == pytest.approx(bias["merged", "all", "bias"])
    assert "bias/expw" not in row


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_the_page_opens_without_a_word_on_the_console(harmonised, tmp_path):
    place, _, _ = harmonised
    page = place / "run" / "report.html"
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"),
            *("--dump-dom", "--virtual-time-budget=3000", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert "inferred by FairFace" in done.stdout


def test_a_split_and_a_filter_choose_rows(audit, tmp_path):
    place, _, _ = audit
    options = ("dataset=rafdb", f"dataset.root={place / 'rafdb'}", "split.where.gender=[female]")
    done = run_audit(tmp_path, *options, "rows=test", "resamples=20")
    assert done.returncode == 0, done.stderr
    counts = table(tmp_path, "counts").groupby(["attribute", "group"])["count"].sum()
    written = rafdb.write_list_form(tmp_path / "again", train=20, test=5, odd=False)
    women = [s for s, codes in written.attributes.items() if codes[0] == 1 and "test" in s]
    assert counts["gender"].to_dict() == {"female": len(women), "male": 0, "unknown": 0}
    assert "gender: not audited, one group alone: female" in done.stdout


def test_the_published_variant_is_another_figure_and_says_so(audit, tmp_path):
    place, _, _ = audit
    options = ("dataset=rafdb", f"dataset.root={place / 'rafdb'}", "resamples=20")
    done = run_audit(tmp_path, *options, "variant=published", "attributes=[race]")
    assert "variant=published is a reconstruction" in done.stdout
    values = table(tmp_path, "measures").set_index(["attribute", "measure"])["value"]["race"]
    other = table(place, "measures").set_index(["dataset", "attribute", "measure"])["value"]
    changed = values != other.sort_index()["rafdb", "race"][values.index]
    assert changed["group_normalized_mutual_information"]
    assert not changed["normalized_label_skewness"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("variant=publishd", "did you mean 'published'?"),
        ("rows=tset", "use all, train, val or test"),
        ("attributes=[gendr]", "did you mean 'gender'?"),
        ("attributes=[expression] target=gender", "not the other way round"),
        ("attributes=[]", "names nothing to audit"),
        ("level=95", "no share between 0 and 1"),
        ("resamples=many", "no whole number"),
        ("seed=-1", "no whole number"),
        ("verify=perhaps", "neither true nor false"),
    ],
)
def test_mistakes_are_named_and_recorded(audit, tmp_path, override, words):
    place, _, _ = audit
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        root = f"dataset.root={place / 'rafdb'}"
        cfg = compose("audit", ["dataset=rafdb", root, *override.split()])
    with pytest.raises(ConfigError) as error:
        fer_lab.audit.audit(cfg, tmp_path)
    assert words in str(error.value)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "failed"
    assert words in record["error"]


def test_a_missing_folder_is_one_error_without_a_traceback(tmp_path):
    done = run_audit(tmp_path, "dataset=rafdb", "dataset.root=nowhere")
    assert done.returncode == 1
    assert "dataset.root=" in done.stderr
    assert "Traceback" not in done.stderr
