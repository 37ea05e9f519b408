"""Imports are not disturbed by the collector, which works as ever afterwards."""

import gc

import pytest

from mlxhub.files.imports import collector_at_rest


def test_the_collector_rests_during_an_import_and_works_after_it() -> None:
    with collector_at_rest():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    with pytest.raises(ImportError), collector_at_rest():
        raise ImportError
    assert gc.isenabled()


def test_what_was_there_is_not_looked_through_again() -> None:
    kept = [object()]
    with collector_at_rest():
        pass
    assert all(each is not kept for each in gc.get_objects())
