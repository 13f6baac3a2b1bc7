"""The journal keeps what is whole, sets aside what is torn, and has one writer."""

from __future__ import annotations

import json

import pytest

from fer_lab.asking.journal import Journal
from fer_lab.errors import ConfigError, DataError


def journal(path):
    return Journal(path / "journal.jsonl")


def lines(path):
    return (path / "journal.jsonl").read_bytes()


@pytest.fixture
def written(tmp_path):
    book = journal(tmp_path)
    book.append("sent", "a", "k", tokens=3)
    book.append("answered", "a", "k", text="happy")
    book.append("sent", "b", "k", tokens=4)
    book.close()
    return tmp_path


def test_answers_come_back_and_what_was_under_way_is_known(written):
    book = journal(written)
    assert book.answers["a", "k"]["text"] == "happy"
    assert [(line["id"], line["tokens"]) for line in book.open] == [("b", 4)]
    assert not book.torn


def test_what_failed_is_under_way_no_more(written):
    book = journal(written)
    book.append("failed", "b", "k", tokens=0)
    book.close()
    again = journal(written)
    assert again.open == []
    assert [line["event"] for line in again.spent] == ["answered", "failed"]


def test_every_request_counts_once_even_of_an_image_answered_twice(written):
    book = journal(written)
    book.append("sent", "a", "k", tokens=3)
    book.append("answered", "a", "k", text="sad")
    book.close()
    again = journal(written)
    assert [line["event"] for line in again.spent] == ["answered", "answered", "sent"]


def test_any_cut_of_the_last_line_keeps_the_others(written):
    before = lines(written)
    book = journal(written)
    book.append("answered", "b", "k", text="sad, ☹")
    book.close()
    whole = lines(written)
    for cut in range(len(before) + 1, len(whole)):
        (written / "journal.jsonl").write_bytes(whole[:cut])
        book = journal(written)
        torn = cut < len(whole) - 1  # without its newline alone a line is whole
        assert (book.torn, ("b", "k") in book.answers) == (torn, not torn)
        assert lines(written) == (before if torn else whole)
        book.close()
    assert (written / "journal.jsonl.torn").exists()


def test_a_broken_line_in_the_middle_is_named(written):
    (written / "journal.jsonl").write_bytes(b"{}\n" + lines(written))
    with pytest.raises(DataError, match="line 1"):
        journal(written)


def test_no_journal_at_all_is_refused_and_left_alone(tmp_path):
    (tmp_path / "journal.jsonl").write_text("id,label\n1,happy\n")
    with pytest.raises(DataError, match="cannot be read"):
        journal(tmp_path)
    assert (tmp_path / "journal.jsonl").read_text() == "id,label\n1,happy\n"


def test_two_writers_are_refused(written):
    book = journal(written)
    with pytest.raises(ConfigError, match="another run"):
        journal(written)
    book.close()
    journal(written).close()


def test_every_line_is_json_of_one_line(tmp_path):
    book = journal(tmp_path)
    book.append("answered", "a\nb", "k", text="line\nbreak \ud800  ")
    book.close()
    (line,) = lines(tmp_path).splitlines()
    assert json.loads(line)["text"] == "line\nbreak \ud800  "
