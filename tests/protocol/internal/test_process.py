"""What a process is told at its birth comes out as it went in, and shows no secret."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    BrokerSpec,
    Exited,
    ForkServerReady,
    KeyPair,
    Spawn,
    Spawned,
    WorkerSpec,
    datagram,
)
from greenroom.protocol.internal.process import read_datagram as read
from greenroom.protocol.message import Message
from tests.protocol.headers import instances

SECRET = "do-not-repeat-me"
KEYS = KeyPair(public="p", secret=SECRET)
BROKER = BrokerSpec(
    id=WorkerId("broker"),
    keys=KEYS,
    supervisor_pid=1,
    codex_home="/home/ada/.codex",
    runtime_directory="/run/ada",
    log_level="warning",
    address="a",
    broadcast_address="b",
    supervisor_key="k",
    secrets={"OPENAI_API_KEY": SECRET},
)

specs = instances(WorkerSpec) | instances(BrokerSpec)
messages = specs.map(lambda spec: Spawn(spec=spec)) | st.one_of(
    instances(Spawned), instances(Exited), instances(ForkServerReady)
)


@given(messages)
def test_messages_come_out_as_they_went_in(message: Spawn | Spawned | Exited | ForkServerReady) -> None:
    assert read(datagram(message)) == message


@given(specs)
def test_the_role_decides_what_is_born(spec: WorkerSpec | BrokerSpec) -> None:
    message = read(datagram(Spawn(spec=spec)))
    assert isinstance(message, Spawn)
    assert type(message.spec) is type(spec)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_violation(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(data)


def test_secrets_are_not_in_the_text_of_a_birth() -> None:
    for message in (KEYS, BROKER, Spawn(spec=BROKER)):
        assert SECRET not in repr(message)
        assert SECRET not in str(message)


def test_a_violation_does_not_repeat_the_data() -> None:
    for header in ({"birth": {"role": "broker", "id": [SECRET]}}, {"birth": {"role": SECRET}}, SECRET):
        with pytest.raises(RemoteProtocolError) as caught:
            read(Spawn.wire + msgpack.packb(header))
        assert SECRET not in repr(caught.value)
        assert caught.value.__cause__ is None


def test_a_birth_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        BROKER.codex_home = "/elsewhere"


@pytest.mark.parametrize("kind", [Spawned, Exited, ForkServerReady, Spawn])
def test_kinds_are_announced_by_one_byte(kind: type[Message]) -> None:
    assert len(kind.wire) == 1  # type: ignore[attr-defined]
