"""The experiment on planted shortcuts, two small cases from one command."""

from __future__ import annotations

import json
import shutil

import pandas as pd
from hydra import compose, initialize_config_dir

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.data.synthetic.shortcuts import CASES
from fer_lab.report.planted.sweep import write_planted
from tests.integration.runs import finish, record

TINY = (
    "experiment=planted_shortcut",
    "dataset.train=96",
    "dataset.val=10",
    "dataset.test=40",
    "recipe.max_epochs=1",
    "planted.max_samples=24",
    "planted.methods.integrated_gradients=null",
    "planted.methods.occlusion=null",
    "planted.methods.lime=null",
)


def test_the_sweep_is_seeds_by_strengths_by_24_cases():
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        cfg = compose("train", ["experiment=planted_shortcut"], return_hydra_config=True)
    params = cfg.hydra.sweeper.params
    assert list(params) == ["seed", "planted.strength", "planted.case"]
    assert (params["seed"], params["planted.strength"]) == ("1,2,3", "0.99,0.5")
    assert params["planted.case"] == ",".join(f"'{name}'" for name in CASES)
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert cfg.logger.kind == "none"


def test_cases_that_fail_leave_the_table_of_the_others(tmp_path):
    done = finish(
        tmp_path,
        *TINY,
        "seed=1",
        "planted.case=gender-glases,gender-glasses,age-glasses,age-hat-smiling",
        "planted.strength=0.99",
    )
    assert done.returncode == 1
    assert "there is no planted case 'gender-glases'; did you mean 'gender-glasses'?" in done.stderr
    assert "Traceback" not in done.stderr
    (written,) = tmp_path.glob("multirun/*/*/planted.csv")
    folder = written.parent
    table = pd.read_csv(written)
    assert set(table["case"]) == {"gender-glasses", "age-glasses", "age-hat-smiling"}
    assert (table["seed"] == 1).all()
    assert (folder / "planted.md").read_text().startswith("# Planted shortcuts\n\nMean claimed")
    assert (folder / "planted.png").read_bytes().startswith(b"\x89PNG")
    for number in ("1", "2", "3"):
        run = folder / number
        assert record(run)["status"] == "finished"
        assert not (run / "faces").exists()
        facts = json.loads((run / "explanations" / "planted.json").read_text())
        mine = table[table["case"] == facts["case"]]
        for way in facts["ways"]:
            rows = mine[
                (mine["method"] == way["method"]) & (mine["layer"].fillna("") == way["layer"])
            ]
            ranks = rows[rows["planted"]].set_index("attribute")["rank"].to_dict()
            assert ranks == way["ranks"]
    # The same runs under another seed: the table is over both.
    for number in ("1", "2"):
        again = folder / f"{number}0"
        shutil.copytree(folder / number, again)
        content = record(again)
        (again / "run.json").write_text(json.dumps({**content, "seed": 2}))
    text = write_planted(folder)
    assert text is not None
    assert "seed 1 " in text
    assert "seed 2 " in text
    assert set(pd.read_csv(written)["seed"]) == {1, 2}
