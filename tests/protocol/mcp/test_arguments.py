"""Arguments of the tools: each text that clients know, each spelling of an id."""

import json
import string
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.mcp.arguments import ArgumentError, CodexArguments, ReplyArguments, parse_codex, parse_reply

PREFIX = "Failed to parse configuration for Codex tool: "
UUIDS = st.uuids()


def codex_error(arguments: object) -> str:
    with pytest.raises(ArgumentError) as caught:
        parse_codex(json.dumps(arguments).encode())
    return str(caught.value)


def reply_error(**arguments: object) -> str:
    with pytest.raises(ArgumentError) as caught:
        assert parse_reply(json.dumps(arguments).encode()).conversation_id
    return str(caught.value)


def reply(**arguments: object) -> ReplyArguments:
    return parse_reply(json.dumps({"prompt": "x", **arguments}).encode())


def test_every_argument_of_every_version_is_taken() -> None:
    given_all: dict[str, Any] = {
        "prompt": "do it",
        "cwd": "src",
        "model": "m",
        "profile": "p",
        "approval-policy": "on-failure",
        "sandbox": "workspace-write",
        "config": {"a.b": [1, {"c": None}]},
        "base-instructions": "b",
        "developer-instructions": "d",
        "compact-prompt": "c",
        "include-plan-tool": True,
        "wait": False,
        "worktree": True,
    }
    parsed = parse_codex(json.dumps(given_all).encode())
    assert msgspec.to_builtins(parsed) == given_all


def test_only_the_prompt_is_needed_and_null_counts_as_absent() -> None:
    everything = {field.encode_name: None for field in msgspec.structs.fields(CodexArguments)}
    assert parse_codex(json.dumps({**everything, "prompt": ""}).encode()) == parse_codex(b'{"prompt":""}')


def test_unknown_arguments_are_ignored() -> None:
    assert parse_codex(b'{"prompt":"x","bogus":{"a":1}}').prompt == "x"
    assert reply(bogus=1).prompt == "x"


def test_missing_arguments_are_told_in_the_known_words() -> None:
    assert codex_error(None) == "Missing arguments for codex tool-call; the `prompt` field is required."
    with pytest.raises(ArgumentError) as caught:
        parse_reply(b"null")
    assert str(caught.value) == (
        "Missing arguments for codex-reply tool-call; the `thread_id` and `prompt` fields are required."
    )
    assert codex_error({}) == f"{PREFIX}missing field `prompt`"
    assert reply_error(threadId=str(UUID(int=0))) == f"{PREFIX}missing field `prompt`"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("prompt", 5, "invalid type: integer `5`"),
        ("prompt", None, "invalid type: null"),
        ("model", True, "invalid type: boolean `True`"),
        ("cwd", ["a"], "invalid type: array"),
        ("config", [], "invalid type: array"),
        ("include-plan-tool", "yes", "invalid type: string"),
        ("include-plan-tool", 1, "invalid type: integer `1`"),
        ("base-instructions", 1.5, "invalid type: number `1.5`"),
    ],
)
def test_a_wrong_type_is_told_with_its_name(name: str, value: object, words: str) -> None:
    told = codex_error({"prompt": "x", name: value})
    assert told.startswith(PREFIX + words), told
    assert told.endswith(f"in `{name}`")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("sandbox", "`read-only`, `workspace-write`, `danger-full-access`"),
        ("approval-policy", "`untrusted`, `on-failure`, `on-request`, `never`"),
    ],
)
def test_an_unknown_variant_is_told_with_what_is_allowed(name: str, allowed: str) -> None:
    told = codex_error({"prompt": "x", name: "zzz"})
    assert told == f"{PREFIX}unknown variant `zzz`, expected one of {allowed} in `{name}`"


@given(st.binary(max_size=60))
def test_any_bytes_are_arguments_or_an_error_for_the_caller(data: bytes) -> None:
    for parse in (parse_codex, parse_reply):
        try:
            parse(data)
        except ArgumentError as error:
            assert str(error).count("\n") == 0
            assert str(error).startswith(("Failed to parse", "Missing arguments"))


def test_deep_or_huge_arguments_are_told() -> None:
    deep = b'{"prompt":"x","config":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001
    with pytest.raises(ArgumentError, match="recursion"):
        parse_codex(deep)
    assert parse_codex(b'{"prompt":"x","config":{"n":%b}}' % (b"9" * 100)).config == {"n": int("9" * 100)}


@given(UUIDS)
def test_all_spellings_of_an_id_name_the_same_conversation(uuid: UUID) -> None:
    plain = str(uuid)
    for spelling in (plain, uuid.hex, plain.upper(), f"{{{plain}}}", uuid.urn, f"{{{uuid.hex.upper()}}}"):
        assert reply(threadId=spelling).conversation_id == plain


@given(UUIDS, UUIDS, UUIDS)
def test_the_newest_name_of_the_id_wins(thread: UUID, conversation: UUID, session: UUID) -> None:
    names = {"threadId": str(thread), "conversationId": str(conversation), "sessionId": str(session)}
    assert reply(**names).conversation_id == str(thread)
    del names["threadId"]
    assert reply(**names).conversation_id == str(conversation)
    assert reply(**names, threadId=None).conversation_id == str(conversation)
    del names["conversationId"]
    assert reply(**names).conversation_id == str(session)


@pytest.mark.parametrize(
    ("argument", "name"),
    [("threadId", "thread_id"), ("conversationId", "conversation_id"), ("sessionId", "session_id")],
)
def test_a_broken_id_is_told_by_the_name_that_was_used(argument: str, name: str) -> None:
    assert reply_error(prompt="x", **{argument: "zzz"}).startswith(f"Failed to parse {name}: ")
    assert reply(**{argument: str(UUID(int=5))}).id_name == name


def test_a_newer_name_that_is_broken_is_not_passed_over() -> None:
    assert reply_error(prompt="x", threadId="", sessionId=str(UUID(int=1))).startswith("Failed to parse thread_id: ")


def test_no_id_at_all_is_told() -> None:
    expected = "Failed to parse thread_id: either threadId or conversationId must be provided"
    assert reply_error(prompt="x") == expected
    assert reply_error(prompt="x", threadId=None, conversationId=None) == expected


@given(st.text(alphabet=string.printable, max_size=40))
def test_no_text_but_an_id_is_an_id(text: str) -> None:
    try:
        found = reply(threadId=text).conversation_id
    except ArgumentError:
        return
    assert found == str(UUID(found))
