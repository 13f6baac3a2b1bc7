"""Three trainings on one gender, the other and both, and their merged heatmaps side by side."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pandas as pd
import pytest

from fer_lab.explain.merged_files import read_merged
from tests.integration.runs import SMALL, command

pytestmark = pytest.mark.slow


def test_a_gender_split_sweep_is_compared_in_face_space(tmp_path):
    sweep = command(
        *(
            "--multirun",
            *SMALL,
            "split=female,male,mixed",
            "logger=none",
            "explain.check_samples=4",
        ),
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    done = subprocess.run(sweep, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "side"
    compared = command(
        *(str(tmp_path / "sweep"), "min_images=3", "resamples=20", f"hydra.run.dir={place}"),
        task="heatmaps",
    )
    done = subprocess.run(compared, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads((place / "heatmaps.json").read_text())
    names = [each["name"] for each in facts["heatmaps"]]
    assert {name.partition("/")[0] for name in names} == {
        f"{train}-{test}" for train in ("FE", "MA", "MI") for test in ("FE", "MA")
    }
    for name in ("heatmaps.png", "dendrogram.png", "differences.png", "report.html"):
        assert (place / name).stat().st_size > 10_000, name
    # The distances are those of the runs' own files.
    distances = pd.read_csv(place / "distances.csv", index_col=0)
    merged = {}
    for job, code in enumerate(("FE", "MA", "MI")):
        found = read_merged(tmp_path / "sweep" / str(job) / "explanations" / "merged_test.npz")
        for (group, label), heatmap in zip(found.cells, found.heatmaps(), strict=True):
            merged[f"{code}-{'FE' if group == 'female' else 'MA'}/{label}"] = heatmap
    one, other = next(
        (a, b) for a in names for b in names if a.startswith("FE-FE") and b == f"MA{a[2:]}"
    )
    known = np.isfinite(merged[one]) & np.isfinite(merged[other])
    expected = 1 - np.corrcoef(merged[one][known], merged[other][known])[0, 1]
    assert distances.loc[one, other] == pytest.approx(expected, abs=1e-6)
