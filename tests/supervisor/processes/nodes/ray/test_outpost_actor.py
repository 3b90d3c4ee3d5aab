"""The actor of a node: what it starts, what the node gets, and that the node ends with it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.internal.outpost import Begin, Outpost
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


@pytest.mark.parametrize(("detached", "alone"), [(False, "60"), (True, "0")])
def test_a_node_that_is_not_detached_ends_without_a_host(detached: bool, alone: str) -> None:
    words = node_command(msgspec.structs.replace(BEGIN, detached=detached), "ray-1", {"XDG_STATE_HOME": "/state"})
    assert words[words.index("--alone") + 1] == alone
    assert words[words.index("--state") + 1] == "/state/greenroom-node/greenroom-0123/ray-1"


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
