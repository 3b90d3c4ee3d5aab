"""A task is the same when it comes back from the disk, and clients see of it what the extension says."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import methods

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp import tasks
from greenroom.protocol.mcp.tasks import TaskRecord

RECORD = TaskRecord("0199-task", ConversationId("0199"), "7:boot", created_at=1000.0, updated_at=1000.5)
QUESTIONS = {"approval-0": b'{"message":"?","requestedSchema":{"type":"object","properties":{}}}'}
RESULT = b'{"content":[{"type":"text","text":"Good day."}]}'
AFTER: dict[str, TaskRecord] = {
    "working": msgspec.structs.replace(RECORD, message="running a command"),
    "input_required": tasks.waiting(RECORD, QUESTIONS, 1010.0),
    "completed": tasks.completed(RECORD, RESULT, 1020.0),
    "cancelled": tasks.cancelled(RECORD, 1030.0),
}
MEMBERS = {
    "working": {"pollIntervalMs", "statusMessage"},
    "input_required": {"pollIntervalMs", "inputRequests"},
    "completed": {"result"},
    "cancelled": {"statusMessage"},
}


def seen(record: TaskRecord) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tasks.task_form(record)))
    return found


@pytest.mark.parametrize("status", AFTER)
def test_a_record_comes_back_as_it_was(status: str) -> None:
    record = AFTER[status]
    again = tasks.decode_record(tasks.encode_record(record))
    assert seen(again) == seen(record)
    assert (again.run, again.conversation_id) == (record.run, record.conversation_id)


@pytest.mark.parametrize("status", AFTER)
def test_clients_see_the_members_of_its_status(status: str) -> None:
    task = seen(AFTER[status])
    assert task["status"] == status
    always = {"taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs"}
    assert set(task) == always | MEMBERS[status]
    assert task["createdAt"] == "1970-01-01T00:16:40.000Z"


def test_questions_and_results_are_those_of_the_protocol() -> None:
    questions = seen(AFTER["input_required"])["inputRequests"]
    asking = {"resultType": "input_required", "inputRequests": questions}
    methods.parse_server_result("tools/call", "2026-07-28", asking)
    result = seen(AFTER["completed"])["result"]
    methods.parse_server_result("tools/call", "2026-07-28", {"resultType": "complete", **result})


def test_an_answered_question_leaves_it_working() -> None:
    task = seen(tasks.waiting(AFTER["input_required"], {}, 1011.0))
    assert task["status"] == "working"
    assert "inputRequests" not in task


@given(st.floats(0, 1e9), st.floats(0, 1e6))
def test_its_time_is_counted_from_its_end(began: float, lasted: float) -> None:
    working = TaskRecord("t", ConversationId("c"), "1:2", began, began)
    assert working.time_to_live is None
    assert not working.is_forgotten(began + lasted + tasks.KEPT_FOR * 9)
    ended = tasks.completed(working, b"{}", began + lasted)
    assert ended.time_to_live is not None
    assert ended.time_to_live >= tasks.KEPT_FOR
    assert not ended.is_forgotten(began + lasted)
    assert ended.is_forgotten(began + lasted + tasks.KEPT_FOR + 1)


def test_the_handle_says_only_how_it_stands() -> None:
    for record in AFTER.values():
        handle = msgspec.json.decode(tasks.creation_result(record))
        assert handle["resultType"] == "task"
        assert not {"inputRequests", "result"} & set(handle)
