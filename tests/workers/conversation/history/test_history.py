"""History: what is recorded comes back in every request, calls are always answered, and nothing else gets in."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.protocol.user_messages import summary_message
from greenroom.workers.conversation.history.call_pairing import ABORTED
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.prompt.prompt import EnvironmentContext as Place
from greenroom.workers.conversation.prompt.prompt import environment_text, message


def said(role: str, text: str) -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(call_id: str, **members: object) -> JsonObject:
    return {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": call_id, **members}


def output(call_id: str, text: str = "ok") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def custom_call(call_id: str) -> JsonObject:
    return {"type": "custom_tool_call", "name": "apply_patch", "input": "x", "call_id": call_id}


def custom_output(call_id: str) -> JsonObject:
    return {"type": "custom_tool_call_output", "call_id": call_id, "output": "ok"}


def sent(history: History) -> list[JsonObject]:
    items: list[JsonObject] = json.loads(history.encoded_input())
    return items


IDS = st.sampled_from(["c1", "c2", "c3"])
ITEMS = st.one_of(
    IDS.map(call),
    IDS.map(output),
    IDS.map(custom_call),
    IDS.map(custom_output),
    st.text(max_size=4).map(lambda text: said("user", text)),
    st.text(max_size=4).map(lambda text: said("assistant", text)),
)
ANSWERS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}


@given(st.lists(ITEMS, max_size=20))
def test_each_call_in_a_request_has_exactly_one_output_after_it(items: list[JsonObject]) -> None:
    open_calls: Counter[tuple[object, object]] = Counter()
    for item in sent(History(items)):
        if item["type"] in ANSWERS.values():
            open_calls[item["type"], item["call_id"]] += 1
        elif item["type"] in ANSWERS:
            key = ANSWERS[str(item["type"])], item["call_id"]
            open_calls[key] -= 1
            assert open_calls[key] >= 0
    assert not +open_calls


@given(st.lists(ITEMS, max_size=20))
def test_a_request_keeps_everything_but_stray_outputs_in_order(items: list[JsonObject]) -> None:
    history = History(items)
    others, sent_others = ([item for item in some if item["type"] not in ANSWERS] for some in (items, sent(history)))
    assert sent_others == others
    assert len(history) == len(items)


@given(st.lists(ITEMS, max_size=20))
def test_a_repaired_request_needs_no_repair(items: list[JsonObject]) -> None:
    repaired = sent(History(items))
    assert sent(History(repaired)) == repaired


@given(st.lists(ITEMS, max_size=12), st.lists(ITEMS, max_size=12))
def test_appending_changes_nothing_before_the_first_open_call(first: list[JsonObject], more: list[JsonObject]) -> None:
    calls = [item for item in first if item["type"] not in ANSWERS.values()]
    history = History(calls)
    before = sent(history)
    history.extend(more)
    assert sent(history)[: len(before)] == before


def test_call_without_output_is_answered_right_after_it() -> None:
    history = History([call("c1"), call("c2"), said("user", "stop"), output("c2")])
    assert sent(history) == [call("c1"), output("c1", ABORTED), call("c2"), said("user", "stop"), output("c2")]


def test_output_without_call_is_left_out() -> None:
    assert sent(
        History([output("c0"), said("user", "a"), custom_output("c1"), call("c1"), output("c1"), output("c1")])
    ) == [
        said("user", "a"),
        call("c1"),
        output("c1"),
    ]


def test_parallel_calls_keep_their_outputs() -> None:
    items = [call("c1"), call("c2"), output("c2"), output("c1")]
    assert sent(History(items)) == items


def test_made_up_output_is_the_same_in_every_request() -> None:
    history = History([call("c1", id="fc_1"), custom_call("c2")])
    first, again = sent(history), sent(history)
    assert first == again
    assert str(first[1]["id"]).startswith("fco_")
    assert first[3] == {"type": "custom_tool_call_output", "call_id": "c2", "output": ABORTED}


def test_local_shell_call_is_answered_under_its_own_id() -> None:
    shell: JsonObject = {"type": "local_shell_call", "id": "ls_1", "action": {"type": "exec", "command": ["ls"]}}
    assert sent(History([shell, output("ls_1")])) == [shell, output("ls_1")]
    assert sent(History([shell]))[1]["call_id"] == "ls_1"


def test_search_that_the_server_ran_needs_no_output() -> None:
    found: JsonObject = {"type": "tool_search_output", "status": "completed", "execution": "server", "tools": []}
    search: JsonObject = {"type": "tool_search_call", "execution": "server", "arguments": {}}
    assert sent(History([search, found])) == [search, found]
    assert [item["type"] for item in sent(History([{**search, "call_id": "c1"}]))] == [
        "tool_search_call",
        "tool_search_output",
    ]


@pytest.mark.parametrize(
    "item",
    [said("system", "x"), {"type": "ghost_snapshot"}, {"type": "message", "role": "user"}, {}, {"type": ["message"]}],
)
def test_what_is_not_recorded(item: JsonObject) -> None:
    history = History()
    assert not history.append(item)
    assert len(history) == 0
    assert history.encoded_input() == b"[]"


def test_messages_of_the_assistant_stay_apart() -> None:
    items = [said("assistant", "first"), said("assistant", "second")]
    assert sent(History(items)) == items


def test_reasoning_without_content_is_recorded_but_not_sent() -> None:
    history = History([{"type": "reasoning", "id": "rs_1", "summary": []}, said("assistant", "x")])
    assert len(history) == 2
    assert sent(history) == [said("assistant", "x")]


def test_undecodable_name_does_not_break_a_request() -> None:
    history = History([said("user", "caf\udce9"), call("c1", arguments="\udce9")])
    assert sent(history)[0] == said("user", "caf?")


def test_last_agent_message_is_the_newest_text() -> None:
    history = History([said("assistant", "old")])
    mark = len(history)
    assert history.last_agent_message() == "old"
    assert history.last_agent_message(mark) is None
    several = {"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}, {"type": "refusal"}
    history.extend(
        [
            {"type": "message", "role": "assistant", "content": list(several)},
            {"type": "message", "role": "assistant", "content": []},
            said("user", "c"),
        ]
    )
    assert history.last_agent_message(mark) == "b"


def context() -> JsonObject:
    place = message("user", environment_text(Place(cwd="/home/ada")))
    assert place is not None
    return place


def test_users_messages_are_told_from_context() -> None:
    history = History([context(), said("user", "hi"), said("assistant", "hello"), summary_message("s")])
    assert [entry.item for entry in history if entry.is_user] == [said("user", "hi")]


def test_oldest_item_is_dropped_with_its_output() -> None:
    history = History([call("c1"), said("user", "x"), output("c1"), call("c1"), output("c1")])
    assert history.drop_oldest()
    assert sent(history) == [said("user", "x"), call("c1"), output("c1")]
    assert [history.drop_oldest() for _ in range(3)] == [True, True, False]
    assert history.encoded_input() == b"[]"


def test_replacing_forgets_what_was() -> None:
    history = History([said("user", "old")])
    history.replace([said("user", "new"), said("system", "x")])
    assert sent(history) == [said("user", "new")]
    assert history.size == len(history.encoded_input()) - 2


def test_recorded_items_are_not_encoded_again() -> None:
    item = said("user", "x" * 100)
    history = History([item])
    item["content"] = []
    assert sent(history) == [said("user", "x" * 100)]


THOUGHT: JsonObject = {
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "hm"}],
    "chat": {"reasoning_content": None},
}


def test_what_a_chat_server_wants_back_goes_to_chat_servers_only() -> None:
    sealed: JsonObject = {"type": "reasoning", "summary": [], "content": [], "chat": {"reasoning_details": [1]}}
    called: JsonObject = {"type": "custom_tool_call", "name": "x", "input": "", "call_id": "a", "chat": {"extra": 1}}
    history = History([THOUGHT, sealed, called])
    assert b"chat" not in history.encoded_input()
    sent = json.loads(history.encoded_input(with_members=True))
    assert [item.get("chat") for item in sent[:3]] == [THOUGHT["chat"], sealed["chat"], called["chat"]]


def test_members_that_a_server_refuses_by_name_are_withheld_from_then_on() -> None:
    history = History([THOUGHT])
    assert not history.adapt_members("unexpected status 400: context too long")
    assert b"chat" in history.encoded_input(with_members=True)
    assert history.adapt_members("property 'reasoning_content' is unsupported")
    assert not history.adapt_members("property 'reasoning_content' is unsupported")
    history.append(THOUGHT)
    for one in (history, history.copy()):
        assert b"chat" not in one.encoded_input(with_members=True)


@pytest.mark.parametrize(
    "complaint", ["The `reasoning_content` must be passed back to the API.", "Missing `reasoning_content` field"]
)
def test_member_that_a_server_misses_by_name_is_demanded_from_then_on(complaint: str) -> None:
    history = History([THOUGHT])
    assert history.adapt_members(complaint)
    assert not history.adapt_members(complaint)
    for one in (history, history.copy()):
        first, second = json.loads(one.encoded_input(with_members=True))
        assert first == {"type": "chat_members", "chat": {"reasoning_content": ""}}
        assert second["chat"] == THOUGHT["chat"]
    assert len(json.loads(history.encoded_input())) == 1
