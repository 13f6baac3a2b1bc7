"""Large imports leave the garbage collector as they found it, and nothing for it to look at."""

from __future__ import annotations

import gc
import sys

import pytest

from fer_lab.importing import import_large

LISTS = 5000
SOURCE = f"""
import gc
collecting = gc.isenabled()
lists = [[] for _ in range({LISTS})]
"""


@pytest.fixture
def large(tmp_path, monkeypatch):
    """The name of a module with many objects, not imported yet."""
    (tmp_path / "large_for_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "large_for_a_test"
    sys.modules.pop("large_for_a_test", None)
    gc.enable()
    gc.unfreeze()


def test_the_collector_rests_during_the_import_alone(large):
    assert not import_large(large).collecting
    assert gc.isenabled()


def test_what_was_imported_is_left_out_of_later_collections(large):
    before = gc.get_freeze_count()
    module = import_large(large)
    assert gc.get_freeze_count() >= before + LISTS
    looked_at = {id(thing) for thing in gc.get_objects()}
    assert not looked_at & {id(each) for each in module.lists}


def test_objects_made_after_the_import_are_still_collected(large):
    import_large(large)
    later = [[]]
    later.append(later)
    assert any(thing is later for thing in gc.get_objects())


def test_a_module_that_is_there_already_freezes_nothing_more(large):
    module = import_large(large)
    frozen, later = gc.get_freeze_count(), [[] for _ in range(LISTS)]
    assert import_large(large) is module
    assert gc.get_freeze_count() <= frozen
    assert len(later) == LISTS


def test_a_collector_that_was_off_stays_off(large):
    gc.disable()
    import_large(large)
    assert not gc.isenabled()


def test_an_import_that_fails_leaves_the_collector_on(large):
    with pytest.raises(ModuleNotFoundError):
        import_large(f"{large}_that_is_missing")
    assert gc.isenabled()
