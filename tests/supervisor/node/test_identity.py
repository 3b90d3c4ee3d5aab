"""Which key a node goes by: the one it has, or a new one for a ticket, which names the node or its pool."""

import os
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.errors import ConfigError, StartError
from greenroom.supervisor.node.identity import chosen, load, save, ticket_of
from greenroom.supervisor.processes.nodes.keys import NodeKeys, Ticket, write_private


@pytest.fixture
def keys(tmp_path: Path) -> NodeKeys:
    return NodeKeys(str(tmp_path / "home"))


@pytest.fixture
def state(tmp_path: Path) -> str:
    path = tmp_path / "state"
    path.mkdir()
    return str(path)


def enrolled(state: str, ticket: Ticket, name: str | None = None) -> str:
    """Note that the host has taken the node in, and return its public key."""
    identity = chosen(state, ticket, name)
    save(state, msgspec.structs.replace(identity, is_enrolled=True))
    return identity.keys.public


def test_a_node_keeps_its_key_without_its_ticket_and_with_it(keys: NodeKeys, state: str) -> None:
    ticket = keys.issue("n1")
    public = enrolled(state, ticket)
    for again in (None, ticket):
        assert (chosen(state, again).keys.public, chosen(state, again).is_enrolled) == (public, True)
    assert chosen(state, keys.issue("n1")).keys.public != public, "a new ticket for one node is for a new key"


def test_a_node_of_a_pool_keeps_its_key_with_a_new_ticket_and_has_it_entered_again(keys: NodeKeys, state: str) -> None:
    public = enrolled(state, keys.issue("pool", 3), "pool-0")
    second = keys.issue("pool", 3)
    identity = chosen(state, second, "pool-0")
    assert (identity.keys.public, identity.is_enrolled, identity.ticket) == (public, False, second.public_key)
    known = load(state)
    assert known is not None
    assert known.is_enrolled, "until the host has answered, the key counts as it did"


def test_a_key_is_for_one_host_and_one_name(keys: NodeKeys, state: str, tmp_path: Path) -> None:
    ticket = keys.issue("pool", 3)
    public = enrolled(state, ticket, "pool-0")
    with pytest.raises(ConfigError, match="pool-0"):
        chosen(state, None, "pool-1")
    assert chosen(state, None, "pool-0").keys.public == public
    elsewhere = NodeKeys(str(tmp_path / "another")).issue("pool", 3)
    assert chosen(state, elsewhere, "pool-0").keys.public != public


def test_a_name_has_to_fit_the_ticket(keys: NodeKeys, state: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        chosen(state, keys.issue("pool", 3))
    with pytest.raises(ConfigError, match="of the name n1"):
        chosen(state, keys.issue("n1"), "n2")
    with pytest.raises(ConfigError, match="cannot be the name"):
        chosen(state, keys.issue("pool", 3), "pool-/")
    assert load(state) is None


def test_a_ticket_that_was_taken_away_is_missed_only_by_a_node_without_a_key(keys: NodeKeys, state: str) -> None:
    path = os.path.join(state, "ticket")
    with pytest.raises(ConfigError, match="no ticket"):
        ticket_of(state, path)
    ticket = keys.issue("pool", 3)
    write_private(path, msgspec.json.encode(ticket))
    assert ticket_of(state, path) == ticket
    os.chmod(path, 0o644)
    with pytest.raises(StartError, match="chmod 600"):
        ticket_of(state, path)
    enrolled(state, ticket, "pool-0")
    os.unlink(path)
    assert ticket_of(state, path) is None
    assert ticket_of(state, None) is None
