"""``fer-lab models``: what there is to choose from, in each form, a user's own included."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from fer_lab.configuration import config_directory, group_options, register_resolvers
from fer_lab.errors import ConfigError
from fer_lab.models.catalogue import ModelFacts, Published
from fer_lab.models_table import models
from fer_lab.report.model_table import as_csv, as_json, as_markdown, overview

GUIDE = Path(__file__).parents[1] / "docs" / "models.md"


def listed(*overrides: str) -> list[ModelFacts]:
    """What a call returns and prints; nothing is left behind."""
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return models(compose("models", list(overrides)), Path())


@pytest.fixture(scope="module")
def everything():
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        found = listed("format=markdown")
    return found, printed.getvalue()


def test_the_guide_has_the_table_that_is_printed(everything):
    found, printed = everything
    assert [each.name for each in found] == group_options()["model"]
    lines = GUIDE.read_text().splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("| `model=` "))
    assert lines[begin : begin + len(found) + 2] == printed.splitlines()


def test_a_terminal_of_80_columns_is_wide_enough(everything):
    found, _ = everything
    console = Console(width=80, file=io.StringIO())
    console.print(overview(found))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    begun = {line.split()[0]: line.split() for line in lines if line[:1].strip()}
    assert {each.name for each in found} <= set(begun)
    assert begun["resnet50"][:6] == ["resnet50", "25.6", "M", "224", "layer4", "yes"]
    assert begun["poster"][:6] == ["poster", "58.9", "M*", "224", "ir_back.body.20", "no"]


def test_counts_are_those_of_the_model_as_it_is_configured(everything):
    found = {each.name: each for each in everything[0]}
    transfer = found["resnet50_transfer"]
    assert (transfer.parameters, transfer.trained, transfer.classes) == (24_038_471, 15_495_175, 7)
    assert transfer.frozen == ("conv1", "bn1", "layer1", "layer2", "layer3")
    assert transfer.batch_size == 128
    assert found["clip_zero_shot"].trained == 0
    mobile = found["mobilenet_v1"]
    assert mobile.trained == mobile.parameters == 4_231_976
    assert mobile.source == "Howard et al. 2017; timm's mobilenetv1_100"
    assert (mobile.image_size, found["xception"].image_size, found["xception"].own_size) == (
        *(224, 224, 299),
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("name=postr", "there is no model 'postr'; did you mean 'poster'"),
        ("format=markdwn", "there is no format 'markdwn'; did you mean 'markdown'"),
    ],
)
def test_a_mistyped_word_names_the_near_one(override, said):
    with pytest.raises(ConfigError, match=said):
        listed(override)


FACTS = [
    ModelFacts(
        *("mine", "mine.Net", "A | net.", "me, 2020", 1200, 200, 7),
        published=Published(1500, "them", 7, {"a tower": 300}),
        image_size=48,
        own_size=64,
        layer="b.1",
        method="hirescam",
        lrp=True,
    ),
    ModelFacts("broken", "mine.Gone", note="cannot be built: a|b"),
]


def test_files_hold_what_is_known_and_leave_open_what_is_not():
    assert as_markdown(FACTS).splitlines()[2:] == [
        "| `mine` | 1,200 (7 classes) | 200 | 1,500, 300 of them left out here (them) | 48 "
        "(published for 64) | `b.1`, HiResCAM | yes | me, 2020 |",
        "| `broken` | – | – | – | – | – | – | cannot be built: a\\|b |",
    ]
    mine, broken = csv.DictReader(io.StringIO(as_csv(FACTS)))
    assert (mine["parameters"], mine["left_out"], mine["lrp"]) == ("1200", "300", "yes")
    assert (broken["parameters"], broken["lrp"]) == ("", "")
    assert mine.keys() == broken.keys()
    mine, broken = json.loads(as_json(FACTS))
    assert mine["published"]["left_out"] == {"a tower": 300}
    assert (mine["lrp"], broken["lrp"]) == (True, None)


OWN = '''
from torch import nn
from fer_lab.models import Classifier

class Tiny(Classifier):
    """A net of my own.

    Source: my thesis,
    chapter 2.
    """
    image_size = 32
    head = "3"
    stages = [("backbone.1", 1)]

    def build(self, width=4):
        dense = nn.Linear(width * self.image_size ** 2, self.num_classes)
        return nn.Sequential(nn.Conv2d(3, width, 1), nn.ReLU(), nn.Flatten(), dense)

class Leaking(Tiny):
    def forward(self, image):
        return super().forward(image)

    def build(self, width=4):
        return nn.Sequential(super().build(width), nn.Softmax(1))
'''


def test_options_of_a_users_own_are_listed_and_mistakes_in_them_said(tmp_path):
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "my_nets.py").write_text(OWN)
    for name, text in {
        "tiny": "# Mine.\n_target_: my_nets.Tiny\nwidth: 8\n",
        "leaking": "_target_: my_nets.Leaking\n",
        "asking": "# @package _global_\nmodel:\n  _target_: my_nets.Tiny\nrecipe:\n"
        "  image_size: ${seed}\n",
        "gone": "_target_: my_nets.Tinny\n",
    }.items():
        (tmp_path / "own" / "model" / f"{name}.yaml").write_text(text)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "fer_lab.cli", "models", "tiny", "leaking", "asking", "gone"),
            f"hydra.searchpath=[file://{tmp_path}/own]",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_nets.py", "own"]
    tiny, leaking, asking, gone = (
        dict(re.findall(r"^(\S+(?: \S+)?)  +(.*?) *$", part, re.MULTILINE))
        for part in answer.stdout.split("model=")[1:]
    )
    assert tiny["parameters"] == f"{8 * 3 + 8 + 7 * 8 * 32**2 + 7:,} (7 classes)"
    assert (tiny["that learn"], tiny["published"]) == ("all", "–")
    assert (tiny["input"], tiny["explained at"], tiny["LRP"]) == ("32", "1", "yes")
    assert (tiny["source"], tiny["class"]) == ("my thesis, chapter 2", "my_nets.Tiny")
    assert "A net of my own." in answer.stdout
    assert "# Mine.\n_target_: my_nets.Tiny\nwidth: 8\n" in answer.stdout
    assert leaking["LRP"] == "no"
    # The seed, which only a training has.
    assert asking["input"] == "1 (published for 32)"
    assert (gone["parameters"], gone["LRP"]) == ("–", "–")
    assert "cannot be built" in gone["source"]
    assert "Tinny" in answer.stdout
