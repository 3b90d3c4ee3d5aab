"""Requests find their replies, end in time, and outlive the connection they were sent over (docs/security.md, K27)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.broker.answers import AuthError, EnvironmentValues, ReceivedAnswer, Succeeded
from greenroom.protocol.internal.broker.questions import Attach, BrokerQuestion, GetEnvironment, Logout
from greenroom.runtime.rpc_client import RpcClient
from greenroom.supervisor.processes.broker_client import BrokerError


class Connection:
    """A client, and what it has sent in its order."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, BrokerQuestion]] = []
        self.client = RpcClient(lambda *message: self.sent.append(message), BrokerError, (Logout,))

    def ask(self, question: BrokerQuestion, timeout_s: float = 60.0) -> "asyncio.Task[Succeeded]":
        return asyncio.create_task(self.client.ask(question, Succeeded, timeout_s))

    def reply(self, number: int) -> bool:
        return self.client.receive(ReceivedAnswer(self.sent[number][0], Succeeded()))


def play(scene: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Connection())

    asyncio.run(run())


async def settled() -> None:
    """Give tasks and callbacks their turns."""
    for _ in range(5):
        await asyncio.sleep(0)


async def failure(asked: "asyncio.Task[Succeeded]") -> tuple[str, str | None]:
    with pytest.raises(BrokerError) as caught:
        await asked
    return caught.value.error.code, caught.value.error.user_text


def variable(name: str) -> GetEnvironment:
    return GetEnvironment(names=(name,))


@given(order=st.permutations(range(6)))
def test_replies_in_any_order_find_their_requests(order: list[int]) -> None:
    async def scene(connection: Connection) -> None:
        client = connection.client
        asked = [asyncio.create_task(client.ask(variable(str(n)), EnvironmentValues, 60.0)) for n in range(6)]
        await settled()
        for number in order:
            message_id, question = connection.sent[number]
            assert isinstance(question, GetEnvironment)
            assert client.receive(
                ReceivedAnswer(message_id, EnvironmentValues(values=dict.fromkeys(question.names, "")))
            )
        assert [list((await each).values) for each in asked] == [[str(n)] for n in range(6)]

    play(scene)


def test_a_reply_counts_once_and_one_to_nothing_not_at_all() -> None:
    async def scene(connection: Connection) -> None:
        asked = connection.ask(variable("A"))
        await settled()
        assert connection.reply(0)
        assert not connection.reply(0)
        await asked
        assert not connection.reply(0)
        assert not connection.client.receive(ReceivedAnswer(b"unknown", Succeeded()))

    play(scene)


def test_an_error_is_raised_and_a_reply_of_another_kind_is_a_protocol_error() -> None:
    async def scene(connection: Connection) -> None:
        refused, wrong = connection.ask(variable("A")), connection.ask(variable("B"))
        await settled()
        error = AuthError(code="reauth_required", user_text="log in again")
        connection.client.receive(ReceivedAnswer(connection.sent[0][0], error))
        connection.client.receive(ReceivedAnswer(connection.sent[1][0], EnvironmentValues(values={})))
        assert await failure(refused) == ("reauth_required", "log in again")
        with pytest.raises(RemoteProtocolError):
            await wrong

    play(scene)


@pytest.mark.parametrize("is_up", [True, False])
def test_a_request_ends_in_its_time_with_and_without_a_connection(is_up: bool) -> None:
    async def scene(connection: Connection) -> None:
        if not is_up:
            connection.client.disconnected()
        assert await failure(connection.ask(variable("A"), 0.0)) == ("deadline_exceeded", "auth broker unavailable")
        await settled()
        connection.sent.clear()
        connection.client.connected()
        assert connection.sent == [], "a request that is over is not sent again"

    play(scene)


def test_open_requests_are_sent_again_under_their_ids_and_answered_ones_are_not() -> None:
    async def scene(connection: Connection) -> None:
        answered, open_one = connection.ask(variable("A")), connection.ask(variable("B"))
        await settled()
        connection.reply(0)
        connection.client.disconnected()
        late = connection.ask(variable("C"))
        await settled()
        before = list(connection.sent)
        assert len(before) == 2, "nothing is sent while the connection is down"
        connection.client.connected()
        again = connection.sent[2:]
        assert again[0] == before[1]
        assert again[1][1] == variable("C")
        assert len(again) == 2
        assert connection.reply(2)
        assert connection.reply(3)
        await asyncio.gather(answered, open_one, late)

    play(scene)


def test_what_must_not_be_done_twice_fails_with_its_connection_and_at_once_without_one() -> None:
    async def scene(connection: Connection) -> None:
        under_way, other = connection.ask(Logout()), connection.ask(variable("A"))
        await settled()
        connection.client.disconnected()
        assert await failure(under_way) == ("transient", "auth broker terminated")
        assert await failure(connection.ask(Logout())) == ("transient", "auth broker unavailable")
        assert not other.done()
        connection.client.connected()
        asked = connection.ask(Logout())
        await settled()
        assert [question for _, question in connection.sent] == [Logout(), variable("A"), variable("A"), Logout()]
        connection.reply(2)
        connection.reply(3)
        await asyncio.gather(other, asked)

    play(scene)


def test_after_giving_up_everything_fails_until_there_is_a_connection() -> None:
    async def scene(connection: Connection) -> None:
        under_way = connection.ask(variable("A"))
        await settled()
        away = AuthError(code="deadline_exceeded", user_text="away")
        connection.client.give_up(away)
        given_up = [connection.client.is_given_up]
        assert await failure(under_way) == await failure(connection.ask(variable("B"))) == ("deadline_exceeded", "away")
        connection.client.connected()
        assert [*given_up, connection.client.is_given_up] == [True, False]
        asked = connection.ask(variable("C"))
        await settled()
        assert connection.reply(-1)
        await asked
        assert [question for _, question in connection.sent] == [variable("A"), variable("C")]

    play(scene)


def test_a_message_without_a_reply_is_sent_once() -> None:
    async def scene(connection: Connection) -> None:
        connection.client.notify(Attach(keys={}))
        connection.client.disconnected()
        connection.client.connected()
        assert len(connection.sent) == 1
        assert not connection.reply(0)

    play(scene)


def test_closing_cancels_what_is_open() -> None:
    async def scene(connection: Connection) -> None:
        asked = connection.ask(variable("A"))
        await settled()
        connection.client.close()
        with pytest.raises(asyncio.CancelledError):
            await asked

    play(scene)


STEPS = st.lists(st.one_of(st.sampled_from(["ask", "once", "down", "up", "give up"]), st.integers(0, 20)), max_size=40)
"""What happens to a client; a number answers that message of those sent so far."""


@given(steps=STEPS)
def test_whatever_happens_each_request_ends_once(steps: list[str | int]) -> None:
    """Every request is answered or fails once the last connection is up and answers everything; those sent once are."""

    async def scene(connection: Connection) -> None:
        asked: list[asyncio.Task[Succeeded]] = []
        happen = {
            "ask": lambda: asked.append(connection.ask(variable(str(len(asked))))),
            "once": lambda: asked.append(connection.ask(Logout())),
            "down": connection.client.disconnected,
            "up": connection.client.connected,
            "give up": connection.client.give_up,
        }
        for step in steps:
            if isinstance(step, str):
                happen[step]()
            elif step < len(connection.sent):
                connection.reply(step)
            await settled()
        connection.client.connected()
        for number in range(len(connection.sent)):
            connection.reply(number)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(outcome, Succeeded | BrokerError) for outcome in outcomes)
        once = [message_id for message_id, question in connection.sent if isinstance(question, Logout)]
        assert len(once) == len(set(once))
        if not {"down", "up", "give up"} & set(steps) and "once" not in steps:
            assert all(isinstance(outcome, Succeeded) for outcome in outcomes)

    play(scene)
