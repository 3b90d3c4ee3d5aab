"""What clients ask of conversations beside turns: answered once, given up with the process, and nothing is parked."""

import asyncio

import pytest

from greenroom.protocol.internal.worker.notices import RequestServed
from greenroom.protocol.internal.worker.operations import Close, Open, ServeRequest, WithdrawRequest
from greenroom.supervisor.conversations.client_requests import RequestFailedError
from greenroom.supervisor.conversations.state.conversation import Conversation
from tests.support.loop import on_loop, turns
from tests.support.workplace import WORKER, Listener, Workplace


def opened(place: Workplace, *, ephemeral: bool = False) -> Conversation:
    conversation = place.conversations.open(b"{}", ephemeral=ephemeral)
    place.conversations.bring_up(conversation, Listener())
    place.open()
    conversation.configured = b"{}"
    return conversation


def state(conversation: Conversation) -> str:
    return conversation.state


def served(place: Workplace, conversation: Conversation, number: int, failure: str | None = None) -> None:
    notice = RequestServed(
        conversation_id=conversation.id, incarnation=conversation.incarnation, number=number, failure=failure
    )
    place.conversations.notices.receive_result(WORKER, notice, b"result")


async def asked(place: Workplace, conversation: Conversation) -> tuple["asyncio.Task[bytes]", ServeRequest]:
    serving = place.conversations.requests.serve(conversation, "mcp-status", b"{}")
    task = asyncio.get_running_loop().create_task(serving)
    await turns()
    sent = place.sent[-1]
    assert isinstance(sent, ServeRequest)
    return task, sent


@on_loop
async def test_a_request_is_answered_with_what_the_worker_says() -> None:
    place = Workplace()
    conversation = opened(place)
    good, first = await asked(place, conversation)
    bad, second = await asked(place, conversation)
    served(place, conversation, second.number, "it cannot")
    served(place, conversation, second.number)
    served(place, conversation, first.number)
    assert await good == b"result"
    with pytest.raises(RequestFailedError, match="it cannot"):
        await bad
    assert conversation.requests is None


@on_loop
async def test_the_end_of_the_process_is_the_end_of_the_request() -> None:
    place = Workplace()
    conversation = opened(place)
    task, _ = await asked(place, conversation)
    place.die()
    with pytest.raises(RequestFailedError, match="has ended"):
        await task
    with pytest.raises(RequestFailedError, match="no process"):
        await place.conversations.requests.serve(conversation, "mcp-status", b"{}")


@on_loop
async def test_a_request_that_nobody_waits_for_is_withdrawn() -> None:
    place = Workplace()
    conversation = opened(place)
    task, sent = await asked(place, conversation)
    task.cancel()
    await asyncio.wait((task,))
    withdrawn = place.sent[-1]
    assert isinstance(withdrawn, WithdrawRequest)
    assert withdrawn.number == sent.number


@on_loop
async def test_settings_are_reloaded_by_another_process_once_the_conversation_is_idle() -> None:
    place = Workplace()
    conversation = opened(place)
    task, sent = await asked(place, conversation)
    place.conversations.reload_settings()
    assert state(conversation) == "idle"
    served(place, conversation, sent.number)
    await task
    assert state(conversation) == "parking"
    assert isinstance(place.sent[-1], Close)
    listener = Listener()
    place.conversations.submit(conversation, b"[]", listener)
    place.die()
    assert (state(conversation), conversation.incarnation) == ("starting", 2)
    assert sum(isinstance(one, Open) for one in place.sent) == 2


@on_loop
async def test_what_would_be_lost_keeps_its_process() -> None:
    place = Workplace()
    conversation = opened(place, ephemeral=True)
    place.conversations.reload_settings()
    assert conversation.state == "idle"
    saved = Workplace()
    busy = opened(saved)
    busy.open_commands = 1
    saved.conversations.reload_settings()
    assert busy.state == "idle"
