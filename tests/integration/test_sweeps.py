"""Several runs from one command: one folder, one record and one W&B run each."""

from __future__ import annotations

from tests.integration.runs import SMALL, finish, record


def test_each_job_is_a_run_of_its_own_and_one_that_fails_stops_no_other(tmp_path):
    done = finish(
        tmp_path,
        "--multirun",
        "split.where.gender=[woman],[female]",
        *SMALL,
        "trainer.max_epochs=1",
        "explain=none",
    )
    assert done.returncode == 1
    assert "woman" in done.stderr
    assert "Traceback" not in done.stderr
    folders = sorted(path.parent for path in tmp_path.glob("multirun/*/*/*/run.json"))
    assert [folder.name for folder in folders] == ["0", "1"]
    assert [record(folder)["status"] for folder in folders] == ["failed", "finished"]
    assert all(len(list((folder / "wandb").glob("offline-run-*"))) == 1 for folder in folders)
    assert record(folders[0])["wandb"]["id"] != record(folders[1])["wandb"]["id"]
