from __future__ import annotations

import numpy as np
import pytest

from fer_lab.errors import DataError
from fer_lab.explain.merged import Merged
from fer_lab.explain.merged_files import read_merged, read_merged_facts, write_merged


def merged() -> Merged:
    rng = np.random.default_rng(0)
    count = rng.integers(0, 4, (2, 20, 11, 9)).astype(np.float32)
    total = rng.random(count.shape).astype(np.float32) * count
    return Merged((("female", "happy"), ("male", "happy")), total, count)


def test_what_is_written_is_read_again(tmp_path):
    known = merged()
    path = write_merged(tmp_path, "test", known, {"images": {"female/happy": 3}})
    found = read_merged(path)
    assert found.cells == known.cells
    np.testing.assert_array_equal(found.count, known.count)
    np.testing.assert_allclose(found.heatmaps(), known.heatmaps(), atol=5e-4)
    assert read_merged_facts(path) == {"images": {"female/happy": 3}}
    with np.load(path) as arrays:  # as the guide says it is
        assert arrays["mean"].dtype == np.float16
        assert arrays["cells"].tolist() == [["female", "happy"], ["male", "happy"]]


def test_a_missing_a_cut_and_a_foreign_file_are_one_error(tmp_path):
    with pytest.raises(DataError, match="no merged heatmaps"):
        read_merged(tmp_path / "merged_test.npz")
    path = write_merged(tmp_path, "test", merged(), {})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        read_merged(path)
    np.savez(path, mean=np.zeros(3), count=np.zeros(3), cells=np.zeros(3))
    with pytest.raises(DataError, match="cannot be read"):
        read_merged(path)
    (tmp_path / "merged_test.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_merged_facts(path)
