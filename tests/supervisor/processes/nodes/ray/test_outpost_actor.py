"""The actor of a node: what it starts, what the node gets, and that the node ends with it."""

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq.utils.z85
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.internal.outpost import Begin, Outpost
from greenroom.supervisor.cli.command_line import command_parser
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.ray.outpost_actor import OutpostActor, environment, node_command
from tests.support import processes
from tests.support.deadline import until

HOST = key_pair()
BEGIN = Begin(
    address="auto",
    namespace="greenroom",
    owner="greenroom-0123",
    join="tcp://127.0.0.1:1",
    host_key=HOST.public,
    max_restarts=3,
    detached=False,
    capacity=2,
    log_level="warning",
)


def test_nothing_that_ray_is_told_is_a_secret() -> None:
    told = msgspec.json.encode(BEGIN).decode() + " ".join(node_command(BEGIN, "ray-1", {}))
    assert HOST.secret not in told
    assert set(json.loads(msgspec.json.encode(BEGIN))) - {"say"} == {
        *("address", "namespace", "owner", "join", "host_key", "max_restarts", "detached", "capacity", "log_level"),
    }


def test_a_node_gets_no_variable_of_ray() -> None:
    given = environment({"RAY_AUTH_TOKEN": "secret", "RAY_JOB_ID": "1", "HOME": "/root", "PATH": "bin:/usr/bin"})
    assert given == {"HOME": "/root", "PATH": "/usr/bin"}


def understood(begin: Begin) -> Namespace:
    """Return what the program makes of the command line of a node."""
    command = node_command(begin, "ray-1", {"XDG_STATE_HOME": "/state"})
    return command_parser("node").parse_args(command[command.index("node") :])


@pytest.mark.parametrize(("detached", "alone"), [(False, 60.0), (True, 0.0)])
def test_a_node_that_is_not_detached_ends_without_a_host(detached: bool, alone: float) -> None:
    arguments = understood(msgspec.structs.replace(BEGIN, detached=detached))
    assert arguments.alone == alone
    assert arguments.state == "/state/greenroom-node/greenroom-0123/ray-1"


@given(st.binary(min_size=32, max_size=32).map(lambda key: zmq.utils.z85.encode(key).decode()) | st.just("-" * 40))
def test_a_node_knows_its_host_by_any_key(key: str) -> None:
    arguments = understood(msgspec.structs.replace(BEGIN, host_key=key))
    assert (arguments.host_key, arguments.join, arguments.placed) == (key, BEGIN.join, "ray-1")


@pytest.fixture
def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OutpostActor]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(OutpostActor, "_end", lambda *_: None)
    made = OutpostActor(msgspec.json.encode(BEGIN), msgspec.json.encode(Outpost("ray-1")))
    yield made
    made._process.kill()
    made._process.wait()


@pytest.mark.server
def test_a_node_tells_its_public_key_and_ends_with_its_lifeline(actor: OutpostActor, tmp_path: Path) -> None:
    until(lambda: len(actor._public_key) == 40, 30.0)
    own = tmp_path / "greenroom-node" / BEGIN.owner / "ray-1"
    assert not [path for path in own.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert not (own / ".nodes.key").exists(), "its keys are in its memory alone"
    actor.admit("another key")
    actor.admit(actor._public_key)
    living = processes.tree(actor._process.pid)
    assert actor._process.stdin is not None
    os.close(actor._process.stdin.fileno())  # as the kernel does where the actor's process is killed
    assert not processes.remaining(living, 10.0)
