"""A session file gives back the conversation that wrote it, whichever release did."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.user_messages import summary_message
from greenroom.sessions.records import format as session_format
from greenroom.sessions.records.format import SessionRecord, encode_line, response_item
from greenroom.sessions.records.restored import Restored, restore

SAMPLES = Path(__file__).parents[1] / "samples"
ID = ConversationId("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
MINIMAL = (
    b'{"timestamp":"2026-11-20T10:00:00.000Z","type":"session_meta","payload":{"id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff",'
    b'"timestamp":"2026-11-20T10:00:00.000Z","cwd":"/home/ada/shop","originator":"any","cli_version":"0.0.0"}}\n'
)
FORMER = b'{"id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","timestamp":"2025-08-19T14:03:07.412Z","instructions":null}\n'


def said(role: str, text: str) -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def user(text: str) -> SessionRecord:
    return response_item(said("user", text))


def assistant(text: str) -> SessionRecord:
    return response_item(said("assistant", text))


def event(kind: str, **members: object) -> SessionRecord:
    return SessionRecord("event_msg", {"type": kind, **members})


def context(model: str = "gpt-5", cwd: str = "/home/ada/shop") -> SessionRecord:
    return session_format.turn_context(
        turn_id=TurnId("t"),
        cwd=cwd,
        model=model,
        approval_policy="never",
        sandbox_policy={"type": "read-only"},
    )


def restored(*records: SessionRecord, first: bytes = MINIMAL) -> Restored:
    return restore([first, *(encode_line(record, 0) for record in records)])


def texts(result: Restored) -> list[str]:
    content = [msgspec.convert(item["content"], list[dict[str, str]]) for item in result.items]
    return [parts[0]["text"] for parts in content]


# Files of other releases


def items_of(path: Path, pick: Callable[[JsonObject], object]) -> list[object]:
    lines = [msgspec.json.decode(line, type=dict[str, object]) for line in path.read_bytes().splitlines()]
    return [item for item in map(pick, lines) if item is not None]


@pytest.mark.parametrize("name", ["command", "cancelled", "simple-turn-and-reply"])
def test_a_file_of_a_current_release_gives_back_its_items(name: str) -> None:
    path = SAMPLES / f"0.153.4-{name}.jsonl"
    with path.open("rb") as lines:
        result = restore(lines)
    assert result.items == items_of(path, lambda line: line["payload"] if line["type"] == "response_item" else None)
    assert (result.cwd, result.model, result.provider) == ("/home/ada/shop", "gpt-5", "mock")
    assert (result.interrupted, result.torn, result.is_2025, result.base_instructions) == (
        False,
        False,
        False,
        "(left out)",
    )
    assert result.context is not None
    assert result.context["approval_policy"] == "never"
    assert result.usage is not None
    assert result.usage["total_tokens"] == (15 if name == "cancelled" else 30)


@pytest.mark.parametrize("name", ["command", "cancelled", "simple-turn-and-reply"])
def test_a_file_of_august_2025_gives_back_its_items(name: str) -> None:
    path = SAMPLES / f"0.25.0-{name}.jsonl"
    with path.open("rb") as lines:
        result = restore(lines)
    assert result.items == items_of(path, lambda line: line if "type" in line else None)
    assert (result.cwd, result.model, result.provider, result.context) == ("/home/ada/shop", None, None, None)
    assert (result.is_2025, result.torn, result.interrupted) == (True, False, name == "cancelled")


def test_a_minimal_file_is_enough() -> None:
    result = restored(user("hello"), assistant("hi"))
    assert (result.conversation_id, result.session_id, result.cwd) == (ID, ID, "/home/ada/shop")
    assert texts(result) == ["hello", "hi"]
    assert (result.model, result.context, result.usage, result.interrupted) == (None, None, None, False)


def test_our_own_lines_may_follow_those_of_2025() -> None:
    result = restored(user("hello"), context(), first=FORMER)
    assert (texts(result), result.model, result.is_2025) == (["hello"], "gpt-5", True)


# What is read


def test_what_the_last_turn_was_told_wins() -> None:
    result = restored(context("old", "/old"), user("a"), context("new", "/new"))
    assert (result.model, result.cwd) == ("new", "/new")
    assert result.context is not None
    assert result.context["model"] == "new"


@pytest.mark.parametrize(
    "line",
    [b"\n", b"   \n", b"junk\n", b"{}\n", b"[]\n", b'"x"\n', b'{"type":"other","payload":{}}\n', b"\xff\xfe\n"]
    + [
        encode_line(response_item(item), 0)
        for item in ({"type": "ghost_snapshot"}, {"type": "message"}, {"type": "new"})
    ]
    + [b'{"type":"event_msg","payload":5}\n', b'{"type":"compacted","payload":[]}\n', b'{"record_type":"state"}\n'],
)
def test_lines_that_nobody_needs_are_passed_over(line: bytes) -> None:
    result = restore([MINIMAL, line, encode_line(user("hello"), 0)])
    assert (texts(result), result.torn) == (["hello"], False)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (event("token_count", info={"total_token_usage": {"total_tokens": 7}}, rate_limits=None), {"total_tokens": 7}),
        (event("token_count", info=None), None),
        (event("token_count", total_tokens=7), None),
    ],
)
def test_the_tokens_used_so_far_are_known(usage: SessionRecord, total: dict[str, int] | None) -> None:
    assert restored(usage).usage == total


@pytest.mark.parametrize(
    ("kinds", "interrupted"),
    [
        (["task_started"], True),
        (["task_started", "task_complete"], False),
        (["turn_started", "turn_complete"], False),
        (["task_started", "turn_aborted"], False),
        (["task_started", "task_complete", "task_started"], True),
    ],
)
def test_a_turn_without_an_end_was_interrupted(kinds: list[str], interrupted: bool) -> None:
    assert restored(user("a"), *(event(kind) for kind in kinds)).interrupted == interrupted


@pytest.mark.parametrize(
    ("records", "interrupted"),
    [
        ([], False),
        ([user("<environment_context>\n</environment_context>")], False),
        ([user("a")], True),
        ([user("a"), assistant("b")], False),
        ([user("a"), response_item({"type": "function_call", "name": "f", "arguments": "", "call_id": "c"})], True),
    ],
)
def test_without_events_a_turn_without_an_answer_was_interrupted(
    records: list[SessionRecord], interrupted: bool
) -> None:
    assert restored(*records).interrupted == interrupted


# What changes the history


def test_a_compaction_replaces_everything_before_it() -> None:
    result = restored(
        context(),
        user("a"),
        session_format.compacted("sum", [said("user", "kept"), said("user", "sum")], 1),
        user("b"),
    )
    assert texts(result) == ["kept", "sum", "b"]
    assert (result.context, result.window_number) == (None, 1)


def test_an_old_compaction_leaves_what_the_user_said_and_the_summary() -> None:
    result = restored(user("a"), assistant("b"), SessionRecord("compacted", {"message": "sum"}), user("c"))
    assert result.items == [said("user", "a"), summary_message("sum"), said("user", "c")]
    assert result.window_number == 1


def test_context_after_a_compaction_counts_again() -> None:
    assert restored(user("a"), session_format.compacted("", [], 1), context("new")).context is not None


@pytest.mark.parametrize(
    ("turns", "left"),
    [(1, ["a", "b", "<environment_context>\n</environment_context>"]), (2, []), (9, []), (0, None), (-1, None)],
)
def test_rolled_back_turns_are_gone_from_what_the_user_said(turns: int, left: list[str] | None) -> None:
    told = [user("a"), assistant("b"), user("<environment_context>\n</environment_context>"), user("c"), assistant("d")]
    result = restored(*told, event("thread_rolled_back", num_turns=turns))
    assert texts(result) == (texts(restored(*told)) if left is None else left)


def test_rolling_back_behind_a_compaction_undoes_it() -> None:
    result = restored(
        context("first"),
        user("a"),
        assistant("b"),
        user("c"),
        session_format.compacted("sum", [said("user", "sum")], 1),
        assistant("d"),
        event("thread_rolled_back", num_turns=1),
        user("e"),
    )
    assert texts(result) == ["a", "b", "e"]
    assert result.context is not None
    assert result.context["model"] == "first"


# What cannot be read


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"junk\n", "does not begin with the metadata"),
        (MINIMAL[:50], "does not begin with the metadata"),
        (encode_line(user("a"), 0), "does not begin with the metadata"),
        (b'{"type":"session_meta","payload":{"cwd":"/"}}\n', "does not begin with the metadata"),
        (b'{"record_type":"state"}\n', "does not begin with the metadata"),
        (MINIMAL.replace(b"6f9619ff-", b"zzzzzzzz-"), "is no UUID"),
        (MINIMAL.replace(b'"cwd"', b'"history_mode":"new","cwd"'), "history mode 'new' is not known"),
    ],
)
def test_a_file_without_sound_metadata_is_refused(first: bytes, reason: str) -> None:
    with pytest.raises(SessionFileError, match=reason):
        restore([first, encode_line(user("a"), 0)])


@pytest.mark.parametrize("lines", [[], [b"\n", b"  "]])
def test_an_empty_file_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(SessionFileError, match="empty"):
        restore(lines)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_nothing_after_the_metadata_can_make_a_file_unreadable(junk: list[bytes]) -> None:
    assert restore([MINIMAL, *(line.replace(b"\n", b"") + b"\n" for line in junk)]).conversation_id == ID


@settings(deadline=None)
@given(st.integers(1, 200))
def test_a_torn_last_line_is_noticed_and_left_out(cut: int) -> None:
    last = encode_line(user("b" * 100), 0)
    result = restore([MINIMAL, encode_line(user("a"), 0), last[:-cut]])
    whole = cut == 1
    assert texts(result) == (["a", "b" * 100] if whole else ["a"])
    assert result.torn == (not whole and cut < len(last))
