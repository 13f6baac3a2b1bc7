"""What the command line answers before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fer_lab import __version__
from fer_lab.cli import TASKS, main


def run(*words: str, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fer_lab.cli", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_names_the_tasks(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "train" in text
    assert "check" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fer-lab {__version__}\n"


def test_task_help_lists_groups_and_their_options(capsys):
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "female | male | mixed" in text
    assert "baseline_cnn" in text
    assert "resume=" in text
    for word in ("--multirun", "hydra/launcher=", "hydra/sweeper=optuna", "docs/sweeps.md"):
        assert word in text


def test_the_flag_of_a_sweep_may_stand_between_overrides():
    done = run("train", "seed=3", "--multirun", "trainer.max_epoch=7")
    assert done.returncode == 1
    assert "did you mean trainer.max_epochs?" in done.stderr
    assert "usage:" not in done.stderr


def test_the_configuration_of_a_sweep_is_not_printed(capsys):
    assert main(["train", "--multirun", "seed=1,2", "--cfg", "job"]) == 1
    assert "error: --cfg prints the configuration of one run" in capsys.readouterr().err


def test_task_help_lists_only_what_the_task_is_made_of(capsys):
    assert main(["check", "--help"]) == 0
    text = capsys.readouterr().out
    assert "dataset=" in text
    assert "--strict" in text
    for foreign in ("model", "trainer", "resume", "logger"):
        assert foreign not in text


@pytest.mark.parametrize("task", TASKS)
def test_help_fits_80_columns(capsys, task):
    for words in ([], [task]):
        assert main([*words, "--help"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_misspelt_task_names_the_near_one(capsys):
    assert main(["trian"]) == 1
    assert "did you mean 'train'?" in capsys.readouterr().err


def test_strict_is_a_word_of_the_check_alone(tmp_path):
    shown = run("check", "--strict", "--cfg", "job", cwd=tmp_path)
    assert "strict: true" in shown.stdout
    refused = run("train", "--strict", cwd=tmp_path)
    assert refused.returncode != 0
    assert "--strict" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["a run", "b.csv"], "runs:\n- a run\n- b.csv\n"),
        (["--cfg", "job", "it's"], "runs:\n- it's\n"),
        (["runs=[a]"], "runs:\n- a\n"),
    ],
)
def test_plain_words_are_what_is_compared(tmp_path, words, shown):
    words = words if "--cfg" in words else [*words, "--cfg", "job"]
    assert shown in run("compare", *words, cwd=tmp_path).stdout


def test_plain_words_mean_nothing_to_a_training(tmp_path):
    answer = run("train", "affectnet", cwd=tmp_path)
    assert answer.returncode == 1
    assert "affectnet" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_early_stopping_is_one_override(tmp_path):
    words = ("callbacks.early_stopping.epochs=5", "callbacks.checkpoint.monitor=val/fairness/bias")
    shown = run("train", *words, "--cfg", "job", "--resolve", cwd=tmp_path).stdout
    part = shown.partition("  early_stopping:\n")[2]
    assert "epochs: 5\n" in part
    assert "monitor: val/fairness/bias\n" in part


def test_an_audit_without_predictions_is_refused_before_anything_is_read(tmp_path):
    answer = run("train", "callbacks.predictions=null", "logger=none", cwd=tmp_path)
    assert answer.returncode == 1
    assert "callbacks.fairness=null" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_group_of_another_task_is_refused(tmp_path):
    answer = run("check", "model=resnet50", cwd=tmp_path)
    assert answer.returncode == 1
    assert "fer-lab check --help" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("split=femal", "did you mean split=female?"),
        ("modle=resnet50", "did you mean model?"),
        ("model=resnet5", "did you mean model=resnet50?"),
        ("trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
        ("model.optimizer.lrr=3", "did you mean model.optimizer.lr?"),
    ],
)
def test_a_misspelt_override_names_the_near_one(tmp_path, override, meant):
    answer = run("train", override, cwd=tmp_path)
    assert answer.returncode == 1
    assert meant in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "outputs").exists()


def test_help_and_mistakes_import_nothing_heavy(tmp_path):
    probe = (
        "import sys; from fer_lab.cli import TASKS, main; main(sys.argv[1:]);"
        "print([m for m in ('torch', 'pandas', 'wandb', 'timm', 'cv2') if m in sys.modules])"
    )
    for words in (["train", "--help"], ["train", "split=femal"], ["check", "split=femal"]):
        answer = subprocess.run(
            [sys.executable, "-c", probe, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        assert answer.stdout.splitlines()[-1] == "[]"


def test_an_output_folder_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = run("train", "hydra.run.dir=file/run", cwd=tmp_path)
    assert answer.returncode == 1
    assert "cannot write" in answer.stderr
    assert "hydra.run.dir" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_resume_last_without_runs_says_where_it_looked(tmp_path):
    answer = run("train", "resume=last", cwd=tmp_path)
    assert answer.returncode == 1
    assert "no run to resume" in answer.stderr
    assert str(tmp_path / "outputs") in answer.stderr
