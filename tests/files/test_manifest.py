"""The list of what was written, and whose a file is by it."""

import json
import plistlib

import pytest

from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.errors import StateUnreadable
from mlxhub.files.manifest import (
    forget,
    installed_agents,
    ownership,
    plist_ownership,
    record,
    record_all,
    written_files,
)


def test_what_is_recorded_is_listed_until_it_is_forgotten(paths: Paths) -> None:
    record(paths, paths.plist("a"), b"one", label="a")
    record(paths, paths.launcher("worker"), b"#!/bin/sh")
    assert installed_agents(paths) == {"a": paths.plist("a")}
    assert {file.path for file in written_files(paths)} == {paths.plist("a"), paths.launcher("worker")}
    forget(paths, paths.plist("a"))
    assert installed_agents(paths) == {}
    assert [file.path for file in written_files(paths)] == [paths.launcher("worker")]


def test_a_file_is_ours_until_somebody_else_changes_it(paths: Paths) -> None:
    path = paths.launcher("worker")
    path.parent.mkdir()
    path.write_bytes(b"theirs")
    assert ownership(path, written_files(paths)) is Ownership.FOREIGN
    record(paths, path, b"ours")
    assert ownership(path, written_files(paths)) is Ownership.EDITED
    path.write_bytes(b"ours")
    assert ownership(path, written_files(paths)) is Ownership.OURS
    path.write_bytes(b"ours, edited")
    assert ownership(path, written_files(paths)) is Ownership.EDITED
    path.unlink()
    assert ownership(path, written_files(paths)) is Ownership.OURS


def test_what_we_wrote_before_stays_ours_while_a_write_is_under_way(paths: Paths) -> None:
    """As after a crash between the record and the write, any number of times."""
    path = paths.launcher("worker")
    path.parent.mkdir()
    record(paths, path, b"one")
    path.write_bytes(b"one")
    for next_content in (b"two", b"three"):
        record(paths, path, next_content)
        assert ownership(path, written_files(paths)) is Ownership.OURS
    path.write_bytes(b"three")
    record(paths, path, b"four")
    assert len(written_files(paths)[0].hashes) == 2
    path.write_bytes(b"one")
    assert ownership(path, written_files(paths)) is Ownership.EDITED


def test_a_record_does_not_make_an_edited_file_ours(paths: Paths) -> None:
    path = paths.launcher("worker")
    path.parent.mkdir()
    record(paths, path, b"one")
    path.write_bytes(b"edited")
    record(paths, path, b"two")
    assert ownership(path, written_files(paths)) is Ownership.EDITED


def test_a_list_of_labels_and_paths_alone_is_read_and_replaced(paths: Paths) -> None:
    paths.state.mkdir()
    paths.manifest.write_text(json.dumps({"a": str(paths.plist("a")), "b": str(paths.plist("b"))}))
    assert installed_agents(paths).keys() == {"a", "b"}
    paths.agents.mkdir()
    paths.plist("a").write_bytes(b"of before")
    assert ownership(paths.plist("a"), written_files(paths)) is Ownership.OURS
    record_all(paths, [(paths.plist("a"), b"new", "a")])
    assert installed_agents(paths).keys() == {"a", "b"}
    assert isinstance(json.loads(paths.manifest.read_text()), list)


def test_a_plist_that_looks_like_ours_is_ours_only_while_the_list_is_lost(paths: Paths) -> None:
    ours, other, theirs = "my.worker.a", "my.worker.b", "com.example.theirs"
    paths.agents.mkdir()
    paths.state.mkdir()
    for label in (ours, theirs):
        properties = {"Label": label, "WorkingDirectory": str(paths.working_directory)}
        paths.plist(label).write_bytes(plistlib.dumps(properties))
    paths.plist(other).write_bytes(paths.plist(ours).read_bytes())  # under another name than its label
    assert plist_ownership(paths, paths.plist(ours), ()) is Ownership.OURS
    assert plist_ownership(paths, paths.plist(other), ()) is Ownership.FOREIGN
    assert plist_ownership(paths, paths.plist(theirs), ()) is Ownership.FOREIGN
    assert installed_agents(paths) == {ours: paths.plist(ours)}
    record(paths, paths.launcher("worker"), b"#!/bin/sh")
    assert plist_ownership(paths, paths.plist(ours), written_files(paths)) is Ownership.FOREIGN
    assert installed_agents(paths) == {}


def test_what_cannot_be_read_is_nobodys_to_touch(paths: Paths) -> None:
    path = paths.launcher("worker")
    path.mkdir(parents=True)
    assert ownership(path, ()) is Ownership.FOREIGN
    record(paths, path, b"ours")
    assert ownership(path, written_files(paths)) is Ownership.EDITED


def test_a_damaged_list_says_what_to_do(paths: Paths) -> None:
    paths.state.mkdir()
    paths.manifest.write_text("[[[")
    with pytest.raises(StateUnreadable, match="Move it away"):
        written_files(paths)
