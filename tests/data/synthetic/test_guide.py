from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lab.data.synthetic.gallery import main

GUIDE = Path(__file__).parents[3] / "docs" / "synthetic.md"


def test_the_code_of_the_guide_runs():
    names = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)), names)
    assert set(np.unique(names["glasses"].regions[names["changed"]])) == {3}
    assert sorted(names["both"]["dataset"].unique()) == ["bright", "dim"]


def test_the_gallery_is_written_as_a_picture(tmp_path):
    main([str(tmp_path / "gallery.png"), "--size", "48"])
    with Image.open(tmp_path / "gallery.png") as picture:
        assert picture.width == 8 * 52 + 4
        assert np.asarray(picture).std() > 20
