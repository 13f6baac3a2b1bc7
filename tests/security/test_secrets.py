"""Keys stay in the environment: nothing that is written, logged or shown holds one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_lab.cli import main
from fer_lab.confidential import masked, refuse_secrets, without_secrets
from fer_lab.errors import ConfigError
from tests.integration.chat_server import Response, chat, serving
from tests.integration.runs import command
from tests.security.watching import environment_without_proxies, finds, recorded_calls

CANARIES = {
    "WANDB_API_KEY": "canarya0123456789abcdef0123456789abcdef0",
    "OPENAI_API_KEY": "sk-canaryb0123456789abcdef",
    "HF_TOKEN": "hf_canaryc0123456789abcdefgh",
    "SEER": "canaryd-with-a-name-that-says-nothing",
    "AWS_SECRET_ACCESS_KEY": "canarye/0123456789+abcdef",
}
REMOTE = {
    "user of the remote": "ghp_canaryf0123456789abcdefgh",
    "password of the remote": "canaryg0123456789",
}
SMALL = (
    *("dataset.train=60", "dataset.val=30", "dataset.test=30", "recipe.image_size=48"),
    *("trainer.max_epochs=1", "callbacks.fairness.resamples=20", "callbacks.fairness.min_count=1"),
    *("explain.max_samples=8", "explain.check_samples=8"),
)
ASKED = ("dataset.train=8", "dataset.val=8", "dataset.test=12", "image_size=48", "max_samples=6")


class Lived:
    """A folder in which tasks have been run with keys in the environment, and what they did."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.environment = environment
        self.calls: list[str] = []
        self.said = ""

    def run(self, task: str, *words: str, ends: int = 0) -> None:
        """Run a task to its end."""
        done = subprocess.run(
            command(*words, task=task),
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ends, done.stderr
        self.said += done.stdout + done.stderr

    @property
    def newest(self) -> Path:
        return max(self.place.glob("outputs/*/*/run.json"), key=lambda f: f.stat().st_mtime).parent


def lived_in(place: Path) -> Lived:
    """A repository whose remote has a password, with a change that holds a key."""
    place.mkdir()
    remote = f"https://{REMOTE['user of the remote']}:{REMOTE['password of the remote']}@git.test/a"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.test"]
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", remote],
        ["commit", "-q", "--allow-empty", "-m", "a"],
    ):
        subprocess.run([*git, *words], cwd=place, check=True)
    return Lived(place, environment_without_proxies() | CANARIES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train and report, with W&B as it is by default."""
    root = tmp_path_factory.mktemp("trained")
    lived = lived_in(root / "place")
    with recorded_calls(root / "recorder") as (environment, calls):
        lived.environment |= environment
        lived.run("train", *SMALL)
        lived.run("report")
    lived.calls += calls
    return lived


@pytest.fixture(scope="module")
def lived(tmp_path_factory, trained):
    """Everything else that leaves files: evaluate, predict, ask, a sweep, an export, a table."""
    root = tmp_path_factory.mktemp("lived")
    lived = lived_in(root / "place")
    run = trained.newest
    with recorded_calls(root / "recorder") as (environment, calls), serving() as (server, url):
        lived.environment |= environment
        lived.run("evaluate", f"predictions={run / 'predictions' / 'test.parquet'}", "logger=wandb")
        lived.run("evaluate", f"checkpoint={run}", *SMALL[:3], *SMALL[5:], "explain=none")
        lived.run("predict", f"checkpoint={run}", f"image={run / 'figures'}")
        # A server that repeats the key, in an answer and in an error.
        server.answer = lambda seen: Response(chat(f"happy {seen.headers['authorization']}"))
        server.script.append(Response(CANARIES["SEER"].encode(), 500))
        options = ("server.model=seer", "server.key_variable=SEER", "server.backoff=0.01")
        lived.run("ask", *ASKED, f"server.base_url={url}", *options, "logger=wandb")
        assert server.seen[0].headers["authorization"] == f"Bearer {CANARIES['SEER']}"
        lived.run("train", "--multirun", "seed=1,2", *SMALL, "explain=none")
        failing = ("--multirun", "seed=1,2", "split.where.gender=[woman]", *SMALL, "logger=none")
        lived.run("train", *failing, ends=1)
        lived.run("export", f"checkpoint={run}", f"output={lived.place / 'model.pt2'}")
        lived.run("table")
        lived.run("report")
    lived.calls += calls
    return lived


def check_without_keys(lived: Lived) -> None:
    """No key is in a file or was printed."""
    (lived.place / ".git").rename(lived.place.parent / "git")
    try:
        assert finds(lived.place, CANARIES | REMOTE) == []
    finally:
        (lived.place.parent / "git").rename(lived.place / ".git")
    assert [name for name, key in (CANARIES | REMOTE).items() if key in lived.said] == []


def test_no_key_is_in_anything_that_a_training_and_its_report_leave_behind(trained):
    check_without_keys(trained)
    kinds = {path.suffix for path in trained.place.rglob("*") if path.is_file()}
    assert {".wandb", ".json", ".yaml", ".log", ".html", ".parquet", ".ckpt", ".npz"} <= kinds


def test_training_and_reporting_call_nobody(trained):
    assert trained.calls == []


@pytest.mark.slow
def test_no_key_is_in_anything_that_the_other_tasks_and_a_sweep_leave_behind(lived):
    check_without_keys(lived)
    for name in ("journal.jsonl", "sweep.json", ".jobs/1.json", "multirun.yaml", "model.pt2"):
        assert list(lived.place.rglob(name)), name


@pytest.mark.slow
def test_the_other_tasks_call_nobody_but_the_server_that_is_named(lived):
    assert lived.calls == []


@pytest.mark.parametrize(
    "program",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.getaddrinfo('example.test', 80)",
        "import urllib.request as u; u.urlopen('https://example.test', timeout=1)",
    ],
)
def test_a_call_would_have_been_noticed(program, tmp_path):
    with recorded_calls(tmp_path) as (environment, calls):
        whole = environment_without_proxies() | environment
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, env=whole, capture_output=True, check=False)
        assert done.returncode != 0
    assert calls


def test_a_key_would_have_been_found_in_every_kind_of_file(tmp_path):
    words = {"key": "canary-0123456789"}
    word = words["key"]
    (tmp_path / "plain.txt").write_text(f"a {word} b")
    pd.DataFrame({"a": [word] * 3}).to_parquet(tmp_path / "table.parquet", compression="gzip")
    np.savez_compressed(tmp_path / "arrays.npz", a=np.frombuffer(word.encode(), dtype=np.uint8))
    cut = b"x" * (32768 - 8) + word[:8].encode() + b"HEAD567" + word[8:].encode()
    (tmp_path / "run.wandb").write_bytes(cut)
    (tmp_path / word).mkdir()
    (tmp_path / word / "empty").touch()
    found = {line.partition(":")[0].partition("/")[0] for line in finds(tmp_path, words)}
    assert found == {"plain.txt", "table.parquet", "arrays.npz", "run.wandb", word}


KEY = "0123456789abcdef"
REFUSED = {
    "server.api_key": f"server.api_key=sk-{KEY}",
    "++wandb.key": f"++wandb.key={KEY}",
    "logger.api_key": f"+logger.api_key={KEY}",
    "hydra.job.env_set.WANDB_API_KEY": f"hydra.job.env_set.WANDB_API_KEY={KEY}",
    "hydra.job.env_set": f"hydra.job.env_set={{OPENAI_API_KEY: {KEY}}}",
    "server": f"server={{base_url: http://localhost/v1, model: a, api_key: {KEY}}}",
    "model.hf_token": f"+model.hf_token='{KEY}'",
    "server.key_variable": f"server.key_variable=sk-{KEY}",
    "server.base_url": f"server.base_url=https://me:{KEY}@host.test/v1",
    "dataset.root": f"dataset.root=https://me:{KEY}@host.test/faces",
    "data_root": f"data_root=https://host.test/faces?X-Amz-Signature={KEY}",
    "notes": f"notes='use password={KEY}'",
    "name": "name=${oc.env:OPENAI_API_KEY}",
    "tags": "tags=[ghp_0123456789abcdefghijklmn]",
    "seed": "seed=1,2 token=0123456789",
}


@pytest.mark.parametrize("where", REFUSED)
@pytest.mark.parametrize("mode", [(), ("--multirun",)])
def test_an_override_with_a_key_is_refused_before_anything_is_written(
    where, mode, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *mode, REFUSED[where], "seed=3"]) == 1
    said = capsys.readouterr().err
    assert "environment" in said
    assert f"where: {where.lstrip('+')}" in said
    assert KEY not in said
    assert "0123456789" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_the_environment_has_is_refused_wherever_it_is_given(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "word-of-mine")
    with pytest.raises(ConfigError):
        refuse_secrets(["server.model=word-of-mine"])
    monkeypatch.delenv("MY_SERVICE_TOKEN")
    refuse_secrets(["server.model=word-of-mine"])


@pytest.mark.parametrize("mode", [(), ("--multirun", "seed=1,2")])
def test_a_file_of_options_with_a_key_is_refused_before_anything_is_written(
    mode, tmp_path, monkeypatch, capsys
):
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    own = tmp_path / "own" / "logger"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(f"defaults: [none]\nlogin: {{password: '{KEY}x'}}\n")
    words = (f"hydra.searchpath=[file://{tmp_path / 'own'}]", "logger=mine")
    assert main(["train", *mode, *words]) == 1
    said = capsys.readouterr().err
    assert "where: logger.login.password" in said
    assert KEY not in said
    left = [path for path in place.rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize(
    "word",
    [
        *("question.max_tokens=50", "budget.tokens=1000", "server.key_variable=MY_KEY"),
        *(
            "server.key_variable=null",
            "server.base_url=http://127.0.0.1:8000/v1",
            "notes='a token'",
        ),
        *("dataset.root=/data/faces@home", "~callbacks.token", "model.prompt_tokens=2"),
        *("++model.class_token=true", "data_root=${oc.env:HOME}/data", "logger.api_key=null"),
        *("dataset.root=https://host.test/faces?part=1", "name=git@host", "checkpoint=last"),
        *("split.where.race=[black]", "resume=outputs/2026-01-31/12-00-00", "tags=[a,b]"),
        *("hydra.run.dir=/tmp/a:b@c", "model.scheduler={name: cosine, warmup: 0.05}"),
    ],
)
def test_what_is_no_key_is_not_refused(word):
    refuse_secrets([word])


def test_what_is_hidden_is_hidden_at_any_depth():
    content = {"a": [{"api_key": "x1", "tokens": 5}], "b": "at https://u:p@h/", "token": None}
    assert masked(content) == {
        "a": [{"api_key": "(hidden)", "tokens": 5}],
        "b": "at https://(hidden)@h/",
        "token": None,
    }


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("authorization: Bearer abc.def", "authorization: (hidden)"),
        ("sent Bearer abcdefgh01234567", "sent (hidden)"),
        ("'api_key': 'two words'", "'api_key': (hidden)"),
        (
            "https://me@host.test/a and git@host.test:a",
            "https://(hidden)@host.test/a and git@host.test:a",
        ),
        ("mysql://me:pass@host/a", "mysql://(hidden)@host/a"),
        (
            "s3://bucket/a?X-Amz-Credential=AB&part=2",
            "s3://bucket/a?X-Amz-Credential=(hidden)&part=2",
        ),
        ("a token of thanks, 5 tokens: none", "a token of thanks, 5 tokens: none"),
    ],
)
def test_what_is_hidden_and_what_is_left(text, hidden):
    assert without_secrets(text) == hidden
    assert without_secrets(hidden) == hidden


def test_the_path_of_a_file_with_a_key_is_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOY_KEY", str(tmp_path))
    assert without_secrets(f"in {tmp_path}") == f"in {tmp_path}"
    monkeypatch.setenv("DEPLOY_KEY", f"{tmp_path}/0815+abc")
    assert without_secrets(f"in {tmp_path}/0815+abc") == "in (hidden)"


def test_the_longer_of_two_keys_is_hidden_whole(monkeypatch):
    monkeypatch.setenv("A_KEY", "shared-beginning")
    monkeypatch.setenv("B_KEY", "shared-beginning-and-more")
    assert without_secrets("<shared-beginning-and-more>") == "<(hidden)>"


def test_an_error_that_repeats_a_key_is_said_and_recorded_without_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "word-of-mine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("id,label,prediction\n1,happy,word-of-mine\n2,sad,sad\n")
    assert main(["evaluate", "predictions=p.csv", "classes=7"]) == 1
    assert "(hidden)" in capsys.readouterr().err
    (record,) = tmp_path.rglob("run.json")
    assert "(hidden)" in record.read_text()
    assert finds(tmp_path / "outputs", {"key": "word-of-mine"}) == []
