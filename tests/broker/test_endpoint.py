"""What goes wrong with one question harms no other."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from greenroom.broker.endpoint import REMEMBERED, SUPERVISOR, BrokerEndpoint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.answers import AuthError, Succeeded, broker_frames, read_broker_answer
from greenroom.protocol.internal.broker.broadcasts import AuthChanged
from greenroom.protocol.internal.broker.questions import GetEnvironment, Hello, Reload


class Frame:
    """A frame as ZeroMQ hands it over, with the name of its sender."""

    def __init__(self, data: bytes, name: str) -> None:
        self.bytes = data
        self._name = name

    def get(self, _: str) -> str:
        return self._name


class Sent:
    """A desk, and what it sent."""

    def __init__(self) -> None:
        self.parts: list[list[bytes]] = []
        self.revoked: list[str] = []
        self.desk = BrokerEndpoint(lambda parts: self.parts.append(list(parts)), self.revoked.append)
        self.desk.welcome("w")
        self.desk.welcome(SUPERVISOR)

    def take(self, name: str, parts: list[bytes]) -> None:
        message: Any = [Frame(part, name) for part in (f"route-{name}".encode(), *parts)]
        self.desk.take(message)

    @property
    def answers(self) -> list[object]:
        return [read_broker_answer(parts[1:]).answer for parts in self.parts]


HELLO = Hello(worker_id=WorkerId("w"))


def test_a_handler_that_fails_is_an_answer_too() -> None:
    def fail(*_: object) -> Succeeded:
        raise RuntimeError("a bug")

    async def fail_later(*_: object) -> Succeeded:
        raise RuntimeError("a bug")

    async def run() -> None:
        sent = Sent()
        sent.desk.on(Hello, fail)
        sent.desk.on(GetEnvironment, fail_later)
        sent.take("w", broker_frames(b"1", HELLO))
        sent.take("w", broker_frames(b"2", GetEnvironment(names=())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sent.answers == [AuthError(code="transient", reason="internal")] * 2

    asyncio.run(run())


def test_a_question_without_bounds_is_a_violation() -> None:
    """K3: though it would fit its form; the third one costs the key."""
    sent = Sent()
    sent.desk.on(GetEnvironment, lambda *_: Succeeded())
    names = tuple(f"NAME_{number}" for number in range(40_000))
    for number in range(4):
        sent.take("w", broker_frames(bytes([number]), GetEnvironment(names=names)))
    assert sent.answers == [AuthError(code="protocol")] * 3
    assert sent.revoked == ["w"]


def test_a_question_that_comes_twice_is_answered_once() -> None:
    """K27: what was resent to a broker that had it already; another worker's ids are its own."""
    sent = Sent()
    sent.desk.welcome("v")
    sent.desk.on(Hello, lambda *_: Succeeded())
    for name in ("w", "w", "v"):
        sent.take(name, broker_frames(b"1", HELLO))
    assert len(sent.answers) == 2
    for number in range(REMEMBERED):
        sent.take("w", broker_frames(f"x{number}".encode(), HELLO))
    assert len(sent.desk._seen) == REMEMBERED


def test_a_closed_desk_is_silent() -> None:
    async def run() -> None:
        sent = Sent()
        asked = asyncio.Event()

        def wait(*_: object) -> Awaitable[Succeeded]:
            asked.set()
            return asyncio.get_running_loop().create_future()

        sent.desk.on(Hello, wait)
        sent.take("w", broker_frames(b"1", HELLO))
        await sent.desk.close()
        sent.take("w", broker_frames(b"2", HELLO))
        assert asked.is_set()
        assert sent.parts == []

    asyncio.run(run())


def test_nobody_else_is_heard() -> None:
    """K2: no name, a name that was shut out, and a name whose key was dropped."""
    sent = Sent()
    sent.desk.on(Hello, lambda *_: Succeeded())
    sent.take("", broker_frames(b"1", HELLO))
    sent.take("stranger", broker_frames(b"1", HELLO))
    assert sent.parts == []
    for number in range(5):
        sent.take("w", broker_frames(f"{number}".encode(), Reload()))
    assert sent.answers == [AuthError(code="forbidden")] * 3
    assert sent.revoked == ["w"]
    sent.desk.welcome("w")
    sent.take("w", broker_frames(b"9", HELLO))
    assert sent.answers[-1] == Succeeded()


def test_the_supervisor_hears_what_it_missed() -> None:
    sent = Sent()
    change = AuthChanged(generation=2, state="API_KEY", mode="apikey", identity_changed=True, reason="external")
    sent.desk.on(Reload, lambda *_: Succeeded())
    sent.desk.notify_supervisor(change)
    assert sent.parts == []
    sent.take(SUPERVISOR, broker_frames(b"1", Reload()))
    sent.desk.notify_supervisor(change)
    assert [parts[:2] for parts in sent.parts] == [
        [b"route-supervisor", b"auth-changed"],
        [b"route-supervisor", b"done"],
        [b"route-supervisor", b"auth-changed"],
    ]
