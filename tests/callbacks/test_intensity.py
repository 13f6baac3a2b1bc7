from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from fer_lab.callbacks.intensity import IntensityRanks
from fer_lab.data import SyntheticDataModule, TableDataModule
from fer_lab.data.vocabulary import EXPRESSIONS, INTENSITY_RANKS
from fer_lab.errors import ConfigError
from fer_lab.explain.attribution.lrp import relevance_of
from fer_lab.models import BaselineCNN, TimmClassifier
from tests.callbacks.trainers import quiet_trainer
from tests.layouts.table import write_image, write_rows

BINS = [f"bin_{number}" for number in range(1, 11)]
PUBLISHED = ["counts_signed", "counts_positive"]
SIZE = 48


def faces(**options) -> SyntheticDataModule:
    given = {"train": 70, "val": 80, "test": 120, "image_size": SIZE, "batch_size": 16} | options
    data = SyntheticDataModule(**given)
    data.prepare_data()
    data.setup()
    return data


def images_of(data, rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels in [0, 1] and labels of rows of the manifest."""
    batch = data._dataset(annotated=False).__getitems__(list(rows))
    return batch["image"].float() / 255, batch["label"]


def taught(data, rows) -> BaselineCNN:
    """A network whose head is a ridge regression on some faces: right about most of these."""
    torch.manual_seed(0)
    model = BaselineCNN(len(data.classes), image_size=SIZE).eval()
    image, label = images_of(data, rows)
    head = model.backbone.head
    with torch.no_grad():
        seen = torch.cat(
            [model.backbone[:-1](model.normalise(image)), torch.ones(len(label), 1)], 1
        )
        wanted = torch.nn.functional.one_hot(label, len(data.classes)).float()
        penalty = 1e-5 * torch.eye(seen.shape[1])
        weights = torch.linalg.solve(seen.T @ seen + penalty, seen.T @ wanted)
        head.weight.copy_(weights[:-1].T)
        head.bias.copy_(weights[-1])
    return model


def run(folder, model, data, *, passes=("validate", "test"), **options):
    trainer = quiet_trainer(IntensityRanks(folder, **options))
    for each in passes:
        getattr(trainer, each)(model, datamodule=data, verbose=False)
    return read(folder)


def read(folder):
    facts = json.loads((folder / "explanations" / "intensity.json").read_text())
    return facts, pd.read_parquet(folder / "explanations" / "intensity.parquet")


def scores(model, data, ids) -> tuple[np.ndarray, list[str]]:
    """Margins over neutral, one face at a time, and predicted expressions."""
    places = pd.Index(data.manifest["id"]).get_indexer(pd.Index(ids))
    found, said = [], []
    for place in places:
        image, _ = images_of(data, [place])
        with torch.no_grad():
            own, mirrored = model(image)[0], model(image.flip(-1))[0]
        code = int(own.argmax())
        mean = (own + mirrored) / 2
        found.append(float(mean[code] - mean[data.classes.index("neutral")]))
        said.append(data.classes[code])
    return np.array(found), said


def by_hand(scores, expressions, reference, of_reference) -> list[str | None]:
    ranks: list[str | None] = []
    for score, name in zip(scores, expressions, strict=True):
        known = np.array(reference)[np.array(of_reference) == name]
        lower, upper = np.quantile(known, (1 / 3, 2 / 3)) if len(known) else (np.nan, np.nan)
        place = 0 if score <= lower else 1 if score <= upper else 2
        ranks.append(INTENSITY_RANKS[place] if len(known) else None)
    return ranks


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("run"), faces()
    model = taught(data, [*data.val_rows[::2], *data.test_rows[::2]])
    return folder, data, model, *run(folder, model, data)


def test_a_row_for_each_face_and_ranks_for_those_that_the_study_ranks(made):
    _, data, _, facts, table = made
    assert list(table) == [
        *("id", "label", "prediction", *BINS, *PUBLISHED),
        *("score", "neutral_margin", "truth", "intensity"),
    ]
    assert list(table["id"]) == sorted(data.manifest["id"].iloc[data.test_rows])
    ranked = (table["label"] == table["prediction"]) & (table["label"] != "neutral")
    assert facts["samples"] == ranked.sum() > 40
    neutral = int((table["label"] == "neutral").sum())
    assert facts["left_out"] == {"neutral": neutral, "wrong": 120 - neutral - ranked.sum()}
    assert (table[BINS].notna().all(axis=1) == ranked).all()
    for name in PUBLISHED:
        assert (table[name].notna() == ranked).all()
    assert table["neutral_margin"][~ranked].isna().all()


def test_counts_are_those_of_relevance_by_hand(made):
    _, data, model, _, table = made
    for row in table[table["bin_1"].notna()].iloc[:12].itertuples():
        image, label = images_of(data, np.flatnonzero(data.manifest["id"] == row.id))
        _, relevance = relevance_of(model, image, label, composite="epsilon_gamma_box")
        for scaling in ("signed", "positive"):
            values = relevance.double().flatten().numpy()
            values = values if scaling == "signed" else values.clip(0)
            values = (values - values.min()) / (values.max() - values.min())
            counts = [((k / 10 <= values) & (values < (k + 1) / 10)).sum() for k in range(10)]
            groups = [sum(counts[:5]), sum(counts[3:8]), sum(counts[5:])]
            expected = INTENSITY_RANKS[int(np.argmax(groups))]
            assert getattr(row, f"counts_{scaling}") == expected
            if scaling == "signed":
                found = [getattr(row, name) for name in BINS]
                # All but the maximum, as published.
                assert sum(found) == sum(counts) == SIZE * SIZE * 3 - 1
                # A batch rounds otherwise than a single image does.
                np.testing.assert_allclose(found, counts, atol=3)


def test_ranks_follow_from_the_bins(made):
    *_, table = made
    ranked = table[table["bin_1"].notna()]
    counts = ranked[BINS].to_numpy(dtype=int)
    sums = np.stack([counts[:, :5].sum(1), counts[:, 3:8].sum(1), counts[:, 5:].sum(1)], 1)
    assert list(ranked["counts_signed"]) == [INTENSITY_RANKS[i] for i in sums.argmax(1)]


def test_scores_are_cut_into_thirds_of_the_validation_faces(made):
    folder, data, model, facts, table = made
    reference = pd.read_parquet(folder / "explanations" / "intensity_calibration.parquet")
    assert facts["calibrated_on"] == "val"
    assert list(reference["id"]) == sorted(data.manifest["id"].iloc[data.val_rows])
    for frame in (reference, table):
        expected, said = scores(model, data, frame["id"])
        np.testing.assert_allclose(frame["score"], expected, atol=1e-5)
        assert list(frame["prediction"]) == said
    ranked = table[table["bin_1"].notna()]
    expected = by_hand(
        ranked["score"], ranked["prediction"], reference["score"], reference["prediction"]
    )
    assert [None if pd.isna(name) else name for name in ranked["neutral_margin"]] == expected
    assert ranked["neutral_margin"].nunique() == 3


def test_truth_is_the_tercile_among_all_faces_of_the_split(made):
    _, data, _, facts, table = made
    assert facts["truth"] == "synthetic"
    people = data.manifest.iloc[data.test_rows].set_index("id")
    expected = people.groupby("label", observed=True)["intensity"].transform(
        lambda part: pd.qcut(part, 3, labels=False) if part.name != "neutral" else np.nan
    )
    places = table["truth"].cat.codes.where(table["truth"].notna(), np.nan)
    np.testing.assert_array_equal(places, expected.loc[table["id"]])
    np.testing.assert_array_equal(table["intensity"], people["intensity"].loc[table["id"]])


def test_figures_follow_from_the_table(made):
    *_, facts, table = made
    ranked = table[table["bin_1"].notna()]
    assert list(facts["estimators"]) == [*PUBLISHED, "neutral_margin"]
    assert facts["not_ranked"] == {}
    for name, figures in facts["estimators"].items():
        right = (ranked[name].astype(object) == ranked["truth"].astype(object)).mean()
        shares = ranked[name].value_counts(normalize=True)
        assert figures["samples"] == facts["samples"]
        assert figures["accuracy"] == pytest.approx(right)
        assert figures["distribution"] == pytest.approx(shares.to_dict())
        for expression, rho in facts["spearman"][name].items():
            here = ranked[ranked["label"] == expression]
            values = here["score"] if name == "neutral_margin" else here[name].cat.codes
            if values.nunique() == 1:
                assert rho is None
            else:
                assert rho == pytest.approx(spearmanr(values, here["intensity"]).statistic)
    assert "are ranked minimal" in facts["estimators"]["counts_positive"]["warning"]


def test_a_limited_set_is_balanced_and_the_same_for_any_model(tmp_path, made):
    _, data, model, *_ = made
    facts, table = run(tmp_path / "one", model, data, passes=("test",), max_samples=42)
    other = BaselineCNN(7, image_size=SIZE)
    _, again = run(tmp_path / "two", other, data, passes=("test",), max_samples=42)
    assert list(table["id"]) == list(again["id"])
    assert (len(table), facts["max_samples"], facts["split_samples"]) == (42, 42, 120)
    assert table["label"].value_counts().max() <= 8
    # Without a validation pass before, the faces examined are those that cuts come from.
    assert facts["calibrated_on"] == "test"
    ranked = table[table["bin_1"].notna()]
    expected = by_hand(ranked["score"], ranked["prediction"], table["score"], table["prediction"])
    assert list(ranked["neutral_margin"]) == expected


def test_without_test_faces_the_validation_faces_are_ranked(tmp_path):
    data = faces()
    data.test_rows = data.test_rows[:0]
    facts, table = run(tmp_path, taught(data, data.val_rows), data, passes=("validate",))
    assert (facts["split"], facts["calibrated_on"]) == ("val", "val")
    assert sorted(table["id"]) == sorted(data.manifest["id"].iloc[data.val_rows])
    assert not (tmp_path / "explanations" / "intensity_calibration.parquet").exists()


def test_without_a_neutral_class_the_score_is_of_log_odds(tmp_path):
    data = faces(classes=6, train=28, val=14, test=60)
    model = taught(data, data.test_rows)
    facts, table = run(tmp_path, model, data, passes=("test",))
    assert list(facts["estimators"]) == [*PUBLISHED, "log_odds"]
    assert facts["left_out"]["neutral"] == 0
    places = pd.Index(data.manifest["id"]).get_indexer(pd.Index(table["id"]))
    image, _ = images_of(data, places)
    with torch.no_grad():
        logits = model(image)
        mean = (logits + model(image.flip(-1))) / 2
    chosen = mean.softmax(1).gather(1, logits.argmax(1, keepdim=True))[:, 0]
    np.testing.assert_allclose(table["score"], (chosen / (1 - chosen)).log(), atol=1e-4)


def test_annotators_decide_where_there_are_any(tmp_path):
    people = [("a", "strong"), ("b", "strong"), ("c", "minimal")]
    rows, votes = [], []
    for code, name in enumerate(EXPRESSIONS[:7]):
        for number in range(6):
            path = f"{name}/{number}.png"
            write_image(tmp_path / path, code)
            split = ("train", "val", "test")[min(number, 2)]
            rows.append({"path": path, "label": name, "split": split, "subject": f"p{number}"})
            # The third has votes that agree, the fourth a tie, the others none.
            for person, rank in people[: {2: 3, 3: 0}.get(number, 0)]:
                votes.append({"image": path, "annotator": person, "rank": rank})
            if number == 3:
                votes += [{"image": path, "annotator": p, "rank": r} for p, r in people[1:]]
    write_rows(tmp_path / "faces.csv", rows)
    ratings = write_rows(tmp_path / "ratings.csv", votes)
    data = TableDataModule(
        tmp_path,
        table={"file": "faces.csv"},
        annotations=[{"kind": "intensity", "file": str(ratings), "ties": "unknown"}],
        attributes=[],
        image_size=SIZE,
        batch_size=16,
        num_workers=0,
    )
    data.prepare_data()
    data.setup()
    model = taught(data, data.test_rows)
    facts, table = run(tmp_path, model, data)
    assert (facts["truth"], facts["spearman"]) == ("annotators", {})
    assert table["truth"].value_counts()["strong"] == 7
    assert table["truth"].isna().sum() == 21
    ranked = table[table["bin_1"].notna()]
    decided = ranked["truth"].notna()
    for name, figures in facts["estimators"].items():
        assert figures["support"] == {"minimal": 0, "average": 0, "strong": int(decided.sum())}
        assert figures["undecided"] == int((~decided & ranked[name].notna()).sum())
    assert decided.any()


def test_a_model_that_relevance_gets_lost_in_is_ranked_by_score_alone(tmp_path, caplog, made):
    data = made[1]
    model = TimmClassifier(7, name="vit_tiny_patch16_224", image_size=SIZE)
    with caplog.at_level(logging.WARNING, logger="fer_lab"):
        facts, table = run(tmp_path, model, data, max_samples=10)
    assert list(facts["estimators"]) == ["neutral_margin"]
    assert list(facts["not_ranked"]) == PUBLISHED
    assert "does not conserve relevance" in facts["not_ranked"]["counts_signed"]
    assert not set(table) & {*BINS, *PUBLISHED}
    assert len([r for r in caplog.records if "by score only" in r.getMessage()]) == 1


def test_another_target_than_expressions_turns_it_off_with_a_note(tmp_path, caplog):
    data = faces(target="gender", test=40)
    model = BaselineCNN(2, image_size=SIZE)
    callback = IntensityRanks(tmp_path)
    trainer = quiet_trainer(callback)
    with caplog.at_level(logging.WARNING, logger="fer_lab"):
        trainer.validate(model, datamodule=data, verbose=False)
        trainer.test(model, datamodule=data, verbose=False)
    assert not (tmp_path / "explanations").exists()
    assert len([r for r in caplog.records if "the target is gender" in r.getMessage()]) == 1


def test_nothing_is_done_during_training_or_when_turned_off(tmp_path, made):
    _, data, model, *_ = made
    trainer = quiet_trainer(IntensityRanks(tmp_path), max_epochs=1, limit_train_batches=1)
    trainer.fit(BaselineCNN(7, image_size=SIZE), datamodule=data)
    quiet_trainer(IntensityRanks(tmp_path, enabled=False)).test(
        model, datamodule=data, verbose=False
    )
    assert not (tmp_path / "explanations").exists()


def test_an_unknown_composite_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="no composite 'epsilon'"):
        IntensityRanks(tmp_path, composite="epsilon")


@pytest.mark.slow
def test_two_processes_rank_as_one_does(tmp_path):
    data = faces()
    model = taught(data, data.test_rows)
    trainer = quiet_trainer(IntensityRanks(tmp_path / "two"), devices=2, strategy="ddp_spawn")
    trainer.test(model, datamodule=data, verbose=False)
    facts, both = read(tmp_path / "two")
    expected, alone = run(tmp_path / "one", model, data, passes=("test",))
    pd.testing.assert_frame_equal(both, alone, atol=3, rtol=0, check_exact=False)
    np.testing.assert_allclose(both["score"], alone["score"], atol=1e-5)
    assert facts["estimators"] == expected["estimators"]
    assert facts["left_out"] == expected["left_out"]
