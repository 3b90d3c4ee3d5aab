"""Records of tasks are found by their id alone, last as long as was said, and never half."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.protocol.mcp import tasks
from greenroom.protocol.mcp.tasks import KEPT_FOR, TaskRecord
from greenroom.supervisor.frontend.mcp.calls.task_store import DIRECTORY, TaskStore

KNOWN = {*TaskRecord.__struct_fields__} - {"unknown"}
MEMBERS = st.dictionaries(
    (st.sampled_from(["unknown", "future"]) | st.text(max_size=8)).filter(lambda name: name not in KNOWN),
    st.recursive(
        st.none() | st.integers(-(10**30), 10**30) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)
CHANGES: dict[str, Callable[[TaskRecord], TaskRecord]] = {
    "completed": lambda one: tasks.completed(one, b'{"x":1}', 4e9),
    "cancelled": lambda one: tasks.cancelled(one, 4e9),
    "waiting": lambda one: tasks.waiting(one, {"q": b"{}"}, 4e9),
}


UNKNOWN = "01a22529-3b5c-7999-89a1-cd9799c718d6"


def record(created_at: float) -> TaskRecord:
    return TaskRecord(uuid7(), ConversationId("0199"), "1:2", created_at, created_at)


def aged(store: TaskStore, path: Path, one: TaskRecord) -> TaskRecord:
    """Write a record whose file was not modified since."""
    store.write(one)
    os.utime(path / DIRECTORY / f"{one.id}.json", (one.updated_at, one.updated_at))
    return one


def test_a_record_is_found_again(tmp_path: Path) -> None:
    one = record(4e9)
    TaskStore(str(tmp_path)).write(one)
    assert TaskStore(str(tmp_path)).read(one.id) == one


@pytest.mark.parametrize("task_id", ["", ".", "../secret", UNKNOWN.upper(), UNKNOWN, "0" * 32])
def test_nothing_else_is_found(tmp_path: Path, task_id: str) -> None:
    store = TaskStore(str(tmp_path))
    store.write(record(4e9))
    (tmp_path / "secret.json").write_text('{"id":"x"}')
    assert store.read(task_id) is None


def test_a_broken_record_is_none(tmp_path: Path) -> None:
    store, one = TaskStore(str(tmp_path)), record(4e9)
    store.write(one)
    (tmp_path / DIRECTORY / f"{one.id}.json").write_text("{")
    assert store.read(one.id) is None


def test_a_record_whose_time_is_over_is_gone(tmp_path: Path) -> None:
    store = TaskStore(str(tmp_path))
    old = aged(store, tmp_path, tasks.completed(record(0.0), b"{}", 1.0))
    assert store.read(old.id) is None


def test_only_what_is_old_and_over_is_removed(tmp_path: Path) -> None:
    store = TaskStore(str(tmp_path))
    over, kept = (aged(store, tmp_path, record(1.0)) for _ in range(2))
    fresh = record(4e9)
    store.write(fresh)
    store.remove_old(lambda one: one.id in (over.id, fresh.id))
    assert store.read(over.id) is None
    assert (store.read(kept.id), store.read(fresh.id)) == (kept, fresh)
    assert KEPT_FOR > 0


@given(MEMBERS, st.sampled_from(["completed", "cancelled", "waiting"]))
def test_members_of_another_release_stay_when_a_record_is_written_again(members: dict[str, Any], change: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        store, one = TaskStore(home), record(4e9)
        store.write(one)
        path = Path(home) / DIRECTORY / f"{one.id}.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **members}))
        found = store.read(one.id)
        assert found is not None
        store.write(CHANGES[change](found))
        written = json.loads(path.read_bytes())
        assert {name: written.get(name) for name in members} == members
        assert store.read(one.id) == CHANGES[change](found)
