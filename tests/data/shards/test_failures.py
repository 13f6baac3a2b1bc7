"""Servers that fail, shards that are not what they were, and what nobody should read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zlib

import pandas as pd
import pytest

from fer_lab.data.assets import assets
from fer_lab.data.shards import cache as shard_cache
from fer_lab.data.shards.cache import ShardCache
from fer_lab.data.shards.index import parse
from fer_lab.data.shards.transfer import TRIES
from fer_lab.data.sources import read
from fer_lab.errors import ConfigError, DataError, FerLabError
from fer_lab.files import file_digest


@pytest.fixture
def copy(affectnet, tmp_path):
    """The folder of shards, to be damaged."""
    return shutil.copytree(affectnet.folder, tmp_path / "copy")


@pytest.fixture
def index(affectnet):
    return parse((affectnet.folder / "shards.json").read_bytes(), "shards.json")


@pytest.fixture
def cache(server, tmp_path):
    return ShardCache(server.url, tmp_path / "shards", 10**9)


def face(manifest: pd.DataFrame, number: int = 0):
    """The pixels of a row in the first shard of training."""
    reader = assets(manifest).readers["affectnet"]
    rows = manifest["path"].str.contains("train-00000", regex=False)
    return reader.read(manifest["path"][rows].iloc[number], 16).image


@pytest.mark.parametrize("statuses", [[503], [500, 429, 504], [503] * (TRIES - 1)])
def test_a_busy_server_is_asked_again(server, index, cache, statuses):
    shard = index.shards[0]
    server.statuses[shard.name] = list(statuses)
    with cache.open(shard) as file:
        assert len(file.read()) == shard.size
    assert server.asked[shard.name] == len(statuses) + 1


def test_a_server_that_stays_busy_is_given_up(server, index, cache):
    shard = index.shards[0]
    server.statuses[shard.name] = [503] * 100
    with pytest.raises(DataError, match=rf"HTTP 503 \({TRIES} tries\)"):
        cache.open(shard)
    assert server.asked[shard.name] == TRIES


def test_a_shard_that_is_not_there_is_an_error_at_once(server, index, cache):
    server.statuses[index.shards[0].name] = [404] * 100
    with pytest.raises(DataError, match="HTTP 404") as caught:
        cache.open(index.shards[0])
    assert index.shards[0].name in caught.value.where
    assert server.asked[index.shards[0].name] == 1
    assert not list(cache.folder.glob(".unfinished-*"))


@pytest.mark.parametrize("trouble", ["damaged", "cut"])
def test_what_was_not_sent_whole_is_fetched_again(server, index, cache, trouble):
    shard = index.shards[0]
    getattr(server, trouble)[shard.name] = 2
    cache.open(shard).close()
    assert server.asked[shard.name] == 3
    assert file_digest(cache.folder / f"{shard.sha256}.tar") == shard.sha256


def test_a_shard_of_another_time_is_not_kept(server, index, cache):
    server.damaged[index.shards[0].name] = 100
    with pytest.raises(DataError, match="its content is not that of the index"):
        cache.open(index.shards[0])
    assert not list(cache.folder.glob("*.tar"))


def test_a_server_that_is_gone_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lab.data.shards.transfer._PAUSE", 0.001)
    with pytest.raises(DataError, match="cannot be fetched: ConnectError"):
        read("shards", "http://127.0.0.1:9", cache_dir=tmp_path)


def test_a_cached_shard_that_was_damaged_is_fetched_anew(server, tmp_path):
    manifest = read("shards", server.url, cache_dir=tmp_path)
    expected = face(manifest)
    for path in (tmp_path / "shards").glob("*.tar"):
        path.write_bytes(bytes(path.stat().st_size))
    assert (face(manifest) == expected).all()


def test_what_a_killed_process_left_unfinished_is_removed(server, index, tmp_path):
    server.pause = 3
    program = (
        "import sys; from pathlib import Path; from fer_lab.data.shards.index import parse;"
        "from fer_lab.data.shards.cache import ShardCache;"
        "index = parse(Path(sys.argv[1]).read_bytes(), '');"
        "ShardCache(sys.argv[2], Path(sys.argv[3]), 10**9).open(index.shards[0])"
    )
    (tmp_path / "shards.json").write_text(json.dumps(index.content()))
    folder = tmp_path / "cache"
    words = [sys.executable, "-c", program, str(tmp_path / "shards.json"), server.url, str(folder)]
    process = subprocess.Popen(words)
    while not list(folder.glob(".unfinished-*")) or not server.asked:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(folder.glob(".unfinished-*"))) == 1
    server.pause = 0
    ShardCache(server.url, folder, 10**9).open(index.shards[1]).close()
    assert [path.name for path in folder.glob("[!.]*")] == [f"{index.shards[1].sha256}.tar"]
    assert not list(folder.glob(".unfinished-*"))


def test_two_processes_that_want_a_shard_fetch_it_once(server, index, cache):
    server.pause = 0.3
    readers = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            cache.open(index.shards[0]).close()
            os._exit(0)
        readers.append(child)
    assert [os.waitpid(child, 0)[1] for child in readers] == [0, 0]
    assert server.asked[index.shards[0].name] == 1


def test_a_lock_does_not_outlive_its_fetch_in_a_forked_process(server, index, cache, monkeypatch):
    """A child that was forked during a fetch has the locked file open, and lives on."""
    children = []

    def fork_meanwhile(*arguments) -> None:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
        download(*arguments)

    download = shard_cache.download
    monkeypatch.setattr(shard_cache, "download", fork_meanwhile)
    try:
        cache.open(index.shards[0]).close()
        cache.discard(index.shards[0])
        started = time.monotonic()
        cache.open(index.shards[0]).close()
        assert time.monotonic() - started < 10
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_missing_and_truncated_shards_of_a_folder_are_one_error(copy):
    (copy / "train-00001.tar").unlink()
    with (copy / "train-00002.tar").open("rb+") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match=r"train-00001.tar is missing, .*02.tar has 1000 bytes"):
        read("shards", copy)


def test_a_shard_that_goes_while_it_is_used_is_one_error(copy):
    manifest = read("shards", copy)
    (copy / "train-00000.tar").unlink()
    with pytest.raises(DataError, match="a shard cannot be read"):
        face(manifest)


def test_an_error_in_a_loading_process_is_told_without_a_traceback(server, opened):
    data = opened(server.url, num_workers=1)
    for name in server.shards() | {"train-00000.tar": 0, "train-00001.tar": 0}:
        server.statuses[name] = [404] * 100
    with pytest.raises(DataError, match="HTTP 404") as caught:
        list(data.train_dataloader())
    assert "Traceback" not in str(caught.value)
    assert caught.value.hint is not None


def test_bytes_that_changed_in_a_shard_are_not_taken_for_a_face(copy):
    manifest = read("shards", copy)
    path = copy / "train-00000.tar"
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    with pytest.raises(DataError, match="not what the table of the shards says") as caught:
        face(manifest)
    assert "train-00000.tar#" in caught.value.where


def test_a_table_of_other_shards_is_refused(copy):
    table = copy / "manifest.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.parquet has another content"):
        read("shards", copy)


def rewritten(folder, change) -> None:
    """A table with something else in it, and an index that vouches for it."""
    table = pd.read_parquet(folder / "manifest.parquet")
    change(table)
    table.to_parquet(folder / "manifest.parquet", index=False)
    index = json.loads((folder / "shards.json").read_text())
    path = folder / "manifest.parquet"
    index["table"] |= {"size": path.stat().st_size, "sha256": file_digest(path)}
    (folder / "shards.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("shard", 99),
        ("shard", -1),
        ("size", 10**9),
        ("offset", -5),
        ("mask_size", 10**9),
        ("member", "000000003.pyd"),
        ("member", "../../3.jpg"),
        ("dataset", "another"),
    ],
)
def test_a_table_that_points_outside_its_shards_is_refused(copy, column, value):
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[3, column] = value
        if column not in ("member", "dataset"):
            table[column] = table[column].astype("int64")

    rewritten(copy, change)
    with pytest.raises(DataError, match="speaks of faces that are not in them"):
        read("shards", copy)


def test_a_table_without_places_is_refused(copy):
    rewritten(copy, lambda table: table.drop(columns="offset", inplace=True))
    with pytest.raises(DataError, match="cannot be read"):
        read("shards", copy)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", 2, "are of format 2"),
        ("shards", [], "names no shard"),
        ("shards", [{"name": "../x.tar", "size": 1, "sha256": "0" * 64}], "no index of shards"),
        ("shards", [{"name": "x.tar", "size": 1, "sha256": "../" + "0" * 61}], "no index"),
        ("shards", [{"name": "x.tar", "size": -1, "sha256": "0" * 64}], "no whole number"),
        ("arrays", {"../a": {"name": "a", "size": 1, "sha256": "0" * 64}}, "unknown array"),
        ("faces", "many", "no whole number"),
    ],
)
def test_an_index_that_is_none_is_refused(copy, key, value, said):
    content = json.loads((copy / "shards.json").read_text())
    (copy / "shards.json").write_text(json.dumps(content | {key: value}))
    with pytest.raises(DataError, match=said):
        read("shards", copy)


def test_a_folder_without_an_index_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match="no folder of shards") as caught:
        read("shards", tmp_path)
    assert "fer-lab shards" in caught.value.hint


class _Touch:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_shard_is_unpickled(copy, tmp_path):
    """A pickle in the place of an image, with a table and an index that vouch for it."""
    manifest = read("shards", copy)
    table = pd.read_parquet(copy / "manifest.parquet")
    row = table.index[table["shard"] == 0][0]
    offset, size = int(table["offset"][row]), int(table["size"][row])
    evil = pickle.dumps(_Touch(str(tmp_path / "touched"))).ljust(size, b"\0")
    with (copy / "train-00000.tar").open("rb+") as file:
        file.seek(offset)
        file.write(evil)
    rewritten(
        copy,
        lambda table: table.__setitem__(
            "crc32", table["crc32"].where(table.index != row, zlib.crc32(evil))
        ),
    )
    manifest = read("shards", copy)
    with pytest.raises(DataError, match="not an image"):
        face(manifest)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("pipe:touch x", "cannot be read from pipe:"),
        ("pipe://touch x", "cannot be read from pipe:"),
        ("file:///tmp", "cannot be read from file:"),
        ("https://me:secret@host/shards", "a password or a query"),
        ("https://host/shards?signature=secret", "a password or a query"),
    ],
)
def test_addresses_that_run_commands_or_hold_secrets_are_refused(root, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read("shards", root)
    assert "secret" not in str(caught.value)


def test_a_scheme_whose_program_is_missing_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FerLabError, match="gsutil is not installed"):
        read("shards", "gs://bucket/shards", cache_dir=tmp_path)


@pytest.mark.parametrize(("option", "value"), [("window", 0), ("ahead", -1), ("window", 1.5)])
def test_numbers_that_cannot_be_are_refused(affectnet, option, value):
    with pytest.raises(ConfigError, match=f"{option}={value} is no whole number"):
        read("shards", affectnet.folder, **{option: value})


def test_a_cache_that_cannot_be_written_is_one_error(server, index, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="a shard cannot be kept"):
        ShardCache(server.url, tmp_path / "file", 10**9).open(index.shards[0])
