"""A fork of a later release is one conversation with what the files of its origins hold, for every reader."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions import index
from greenroom.sessions.records.format import SessionRecord, response_item
from greenroom.sessions.replay import initial_messages
from greenroom.sessions.storage.file import SessionFile, read
from greenroom.sessions.storage.finder import ARCHIVE, find_listed
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.workers.jobs.list_sessions import preview

TIME = "2026-11-20T10:00:00.000Z"


class Saved(NamedTuple):
    """A file of a later release."""

    id: ConversationId
    path: Path
    end: int
    """The ordinal behind its last line."""


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def turn(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a turn in which the user says something and the agent repeats it."""
    said = {"type": "UserMessage", "id": "u", "content": [{"type": "text", "text": text, "text_elements": []}]}
    answer = {"type": "AgentMessage", "id": "a", "content": [{"type": "Text", "text": text.upper()}]}
    patch = {"type": "FileChange", "id": "p", "status": "completed", "changes": {f"/{text}": {"type": "delete"}}}
    return [
        ("event_msg", {"type": "task_started", "turn_id": text}),
        ("response_item", message("user", text)),
        *(("event_msg", {"type": "item_completed", "item": item}) for item in (said, patch, answer)),
        ("response_item", message("assistant", text.upper())),
        ("event_msg", {"type": "task_complete", "turn_id": text}),
    ]


def save(home: Path, *turns: str, origin: Saved | None = None, end: int | None = None) -> Saved:
    """Write a file with these turns, which goes on where `origin` has `end`, by default at its end."""
    conversation = ConversationId(uuid7())
    meta: dict[str, Any] = {"id": conversation, "timestamp": TIME, "cwd": "/x", "originator": "o", "cli_version": "1"}
    first = 0
    if origin is not None:
        first = origin.end if end is None else end
        meta["history_base"] = {"thread_id": origin.id, "end_ordinal_exclusive": first, "end_byte_offset": 0}
    records = [("session_meta", {**meta, "history_mode": "paginated"}), *(one for text in turns for one in turn(text))]
    path = home / "sessions" / f"rollout-2026-11-20T10-00-00-{conversation}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"timestamp": TIME, "ordinal": ordinal, "type": kind, "payload": payload})
        for ordinal, (kind, payload) in enumerate(records, first)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    return Saved(conversation, path, first + len(lines))


def said(home: Path, saved: Saved) -> list[str]:
    """Return what the user has said, as the model gets it."""
    items: list[Any] = read(Reader(str(home)), str(saved.path)).items
    return [item["content"][0]["text"] for item in items if item["role"] == "user"]


def test_every_reader_sees_the_beginning(tmp_path: Path) -> None:
    reader = Reader(str(tmp_path))
    first = save(tmp_path, "a", "b")
    second = save(tmp_path, "c", origin=first)
    third = save(tmp_path, "d", origin=second)
    path = str(third.path)
    assert said(tmp_path, third) == ["a", "b", "c", "d"]
    assert [event["message"] for event in initial_messages(reader, path)] == ["a", "A", "b", "B", "c", "C", "d", "D"]
    seen = preview(reader, path)
    assert seen is not None
    assert seen.text == "a"
    assert {entry.id: entry.title for entry in index.entries(str(tmp_path))} == dict.fromkeys(
        (first.id, second.id, third.id), "a"
    )
    story = index.story(str(tmp_path), third.id)
    assert story.turns == 4
    assert [passage.text for _, passage in story.told] == ["a", "A", "b", "B", "c", "C", "d", "D"]
    assert [list(patch) for patch in index.file_changes(str(tmp_path), third.id).patches] == [
        ["/a"],
        ["/b"],
        ["/c"],
        ["/d"],
    ]


def test_what_an_origin_said_after_the_fork_is_not_the_forks(tmp_path: Path) -> None:
    first = save(tmp_path, "a", "b", "c")
    fork = save(tmp_path, "d", origin=first, end=1 + len(turn("a")))
    assert said(tmp_path, fork) == ["a", "d"]


def pack(path: Path) -> None:
    path.with_name(path.name + ".zst").write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()


def archive(path: Path) -> None:
    folder = path.parents[1] / ARCHIVE
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("happened", [pack, archive, tear])
def test_an_origin_is_found_whatever_has_happened_to_its_file(tmp_path: Path, happened: Callable[[Path], None]) -> None:
    first = save(tmp_path, "a")
    fork = save(tmp_path, "b", origin=first)
    happened(first.path)
    assert said(tmp_path, fork) == ["a", "b"]


def test_a_fork_itself_may_be_packed(tmp_path: Path) -> None:
    fork = save(tmp_path, "b", origin=save(tmp_path, "a"))
    pack(fork.path)
    assert said(tmp_path, fork) == ["a", "b"]


def test_a_fork_goes_on_in_its_own_file(tmp_path: Path) -> None:
    first = save(tmp_path, "a")
    fork = save(tmp_path, "b", origin=first)
    before = first.path.read_bytes(), fork.path.read_bytes()
    file = SessionFile.resume(str(tmp_path), str(fork.path), fork.id)
    file.append([response_item(message("user", "c")), SessionRecord("event_msg", {"type": "task_complete"})])
    file.close()
    assert first.path.read_bytes() == before[0]
    added = fork.path.read_bytes().removeprefix(before[1]).splitlines()
    assert [json.loads(line)["ordinal"] for line in added] == [fork.end, fork.end + 1]
    assert said(tmp_path, fork) == ["a", "b", "c"]


@given(cut=st.integers(1, 4), depth=st.integers(0, 3))
def test_a_copy_holds_everything_itself_and_is_numbered_from_0(
    tmp_path_factory: pytest.TempPathFactory, cut: int, depth: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    saved = save(home, "a")
    for place in range(depth):
        saved = save(home, "bcd"[place], origin=saved)
    turns = min(cut, depth + 1)
    copy = index.fork_conversation(str(home), saved.id, turns)
    path = Path(find_listed(str(home), copy.conversation_id) or "")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["ordinal"] for line in lines] == list(range(len(lines)))
    assert all("history_base" not in line["payload"] for line in lines)
    for origin in home.rglob("rollout-*"):
        if origin != path:
            origin.unlink()
    assert said(home, Saved(copy.conversation_id, path, 0)) == list("abcd"[:turns])


def loop(home: Path) -> Saved:
    first = save(home, "a")
    second = save(home, "b", origin=first)
    content = first.path.read_text().replace(
        '"history_mode"',
        f'"history_base": {{"thread_id": "{second.id}", "end_ordinal_exclusive": 9}}, "history_mode"',
        1,
    )
    first.path.write_text(content)
    return second


def missing(home: Path) -> Saved:
    first = save(home, "a")
    fork = save(home, "b", origin=first)
    first.path.unlink()
    return fork


def named(home: Path, name: str) -> Saved:
    fork = save(home, "b", origin=save(home, "a"))
    line, rest = fork.path.read_text().split("\n", 1)
    record = json.loads(line)
    record["payload"]["history_base"]["thread_id"] = name
    fork.path.write_text(json.dumps(record) + "\n" + rest)
    return fork


def garbled(home: Path) -> Saved:
    fork = save(home, "b", origin=save(home, "a"))
    fork.path.write_text(fork.path.read_text().replace('"thread_id"', '"thread"', 1))
    return fork


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (loop, "fork of more than 100 others"),
        (missing, "which is not there"),
        (lambda home: named(home, "../../secret"), "which is not there"),
        (lambda home: named(home, ""), "which is not there"),
        (garbled, "does not tell where its beginning is"),
    ],
)
def test_a_beginning_that_cannot_be_had_is_an_error_that_says_so(
    tmp_path: Path, make: Callable[[Path], Saved], reason: str
) -> None:
    fork = make(tmp_path)
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(SessionFileError, match=reason):
        read(Reader(str(tmp_path)), str(fork.path))
    assert initial_messages(Reader(str(tmp_path)), str(fork.path)) == []
    faults = {entry.id: entry.fault for entry in index.entries(str(tmp_path))}
    assert reason in (faults[fork.id] or "")
    assert opened == (len(os.listdir("/proc/self/fd")) if opened else 0), "files stay open"


def test_a_line_is_given_in_whatever_pieces_are_asked_for(tmp_path: Path) -> None:
    fork = save(tmp_path, "b" * 5000, origin=save(tmp_path, "a" * 300_000))
    reader = Reader(str(tmp_path))
    with open_with_origins(reader, str(fork.path)) as file:
        whole = file.read()
    with open_with_origins(reader, str(fork.path)) as file:
        pieces = b"".join(iter(lambda: file.read(777), b""))
    assert whole == pieces
    assert whole.count(b"\n") == 1 + 2 * len(turn("a"))
