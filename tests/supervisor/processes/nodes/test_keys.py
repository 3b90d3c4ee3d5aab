"""Tickets count once and for minutes, keys are for their user alone, and a revoked one is nobody's."""

import os
from pathlib import Path

import pytest
import zmq.utils.z85

from greenroom.config.reader import Reader
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.secret_names import SECRET_NAMES, covers
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import (
    HOST_KEY,
    KNOWN,
    LOCK,
    TICKET_LIFE,
    KeyOwner,
    NodeKeys,
    keep_from_commands,
)


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def keys(tmp_path: Path, watch: Watch) -> NodeKeys:
    return NodeKeys(str(tmp_path), watch)


def raw(public: str) -> bytes:
    return zmq.utils.z85.decode(public)


def test_a_ticket_puts_one_key_in_its_place(keys: NodeKeys) -> None:
    ticket, own = keys.issue("n1"), key_pair()
    assert ticket.host_key == keys.host_keys().public
    assert keys.owner(raw(ticket.public_key)) == KeyOwner("ticket", "n1")
    assert keys.owner(raw(own.public)) is None
    keys.redeem("n1", ticket.public_key, own.public)
    assert keys.owner(raw(own.public)) == KeyOwner("node", "n1")
    assert keys.owner(raw(ticket.public_key)) is None
    with pytest.raises(ConfigError):
        keys.redeem("n1", ticket.public_key, key_pair().public)
    assert keys.key_of("n1") == own.public


def test_a_ticket_is_over_after_some_minutes(keys: NodeKeys, watch: Watch) -> None:
    ticket = keys.issue("n1")
    watch.now += TICKET_LIFE - 1
    assert keys.owner(raw(ticket.public_key)) is not None
    watch.now += 1
    assert keys.owner(raw(ticket.public_key)) is None
    with pytest.raises(ConfigError):
        keys.redeem("n1", ticket.public_key, key_pair().public)
    assert keys.names() == []


def test_a_new_ticket_replaces_one_that_was_not_used(keys: NodeKeys) -> None:
    former, present = keys.issue("n1"), keys.issue("n1")
    assert keys.owner(raw(former.public_key)) is None
    assert keys.owner(raw(present.public_key)) is not None


def test_a_ticket_that_was_replaced_uses_up_no_other(keys: NodeKeys) -> None:
    former, present, own = keys.issue("n1"), keys.issue("n1"), key_pair()
    with pytest.raises(ConfigError):
        keys.redeem("n1", former.public_key, key_pair().public)
    keys.redeem("n1", present.public_key, own.public)
    assert keys.key_of("n1") == own.public


def test_a_revoked_key_belongs_to_no_node(keys: NodeKeys) -> None:
    own = key_pair()
    keys.redeem("n1", keys.issue("n1").public_key, own.public)
    keys.issue("n2")
    assert keys.revoke("n1")
    assert keys.owner(raw(own.public)) is None
    assert keys.revoke("n2"), "its ticket goes too"
    assert not keys.revoke("n1")


@pytest.mark.parametrize("key", ["", "x" * 40 + "y", "\0" * 40])
def test_what_is_no_key_is_refused_and_leaves_the_file_readable(keys: NodeKeys, key: str) -> None:
    ticket = keys.issue("n1")
    with pytest.raises((ConfigError, ValueError, KeyError)):
        keys.redeem("n1", ticket.public_key, key)
    assert keys.names() == []


def test_a_node_that_an_engine_has_placed_is_known_by_the_key_of_its_last_run(keys: NodeKeys) -> None:
    first, second = key_pair(), key_pair()
    keys.place("ray-1", first.public)
    keys.place("ray-1", second.public)
    assert keys.owner(raw(second.public)) == KeyOwner("node", "ray-1")
    assert keys.owner(raw(first.public)) is None
    for name, key in (("ray-1", "short"), ("../x", first.public)):
        with pytest.raises(ValueError, match="no name, or no key"):
            keys.place(name, key)
    assert keys.key_of("ray-1") == second.public


def test_the_files_are_for_their_user_alone_and_hidden_from_commands(keys: NodeKeys, tmp_path: Path) -> None:
    host = keys.host_keys()
    keys.issue("n1")
    assert keys.host_keys() == host
    for name in (HOST_KEY, KNOWN, LOCK):
        assert os.stat(tmp_path / name).st_mode & 0o777 == 0o600
        assert covers(SECRET_NAMES, name)
    (tmp_path / HOST_KEY).chmod(0o640)
    with pytest.raises(StartError, match="chmod 600"):
        keys.host_keys()


def test_the_secret_half_of_a_ticket_is_not_kept(keys: NodeKeys, tmp_path: Path) -> None:
    ticket = keys.issue("n1")
    assert all(ticket.secret_key.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_ticket_of_a_pool_counts_its_nodes(keys: NodeKeys, watch: Watch) -> None:
    ticket = keys.issue("pool", 2, 3600.0)
    assert ticket.is_pool
    one, two = key_pair(), key_pair()
    assert keys.redeem("pool", ticket.public_key, one.public, "pool-0") == "pool-0"
    assert keys.redeem("pool", ticket.public_key, one.public, "pool-0") == "pool-0", "whose answer was lost"
    watch.now += 3599
    assert keys.owner(raw(ticket.public_key)) == KeyOwner("ticket", "pool")
    assert keys.redeem("pool", ticket.public_key, two.public, "pool-1") == "pool-1"
    assert keys.owner(raw(ticket.public_key)) is None
    with pytest.raises(ConfigError, match="over"):
        keys.redeem("pool", ticket.public_key, key_pair().public, "pool-2")
    assert keys.names() == ["pool-0", "pool-1"]


def test_a_ticket_of_a_pool_is_over_at_its_time_whatever_is_left(keys: NodeKeys, watch: Watch) -> None:
    ticket = keys.issue("pool", 2, 60.0)
    keys.redeem("pool", ticket.public_key, key_pair().public, "pool-0")
    watch.now += 60
    assert keys.owner(raw(ticket.public_key)) is None
    with pytest.raises(ConfigError, match="over"):
        keys.redeem("pool", ticket.public_key, key_pair().public, "pool-1")


@pytest.mark.parametrize("name", ["", "pool", "poolx", "other-1", "pool-1/..", "pool-\n", "pool-" + "x" * 63])
def test_a_node_of_a_pool_has_a_name_of_the_pool(keys: NodeKeys, name: str) -> None:
    ticket = keys.issue("pool", 2)
    with pytest.raises(ConfigError, match="begin with pool-"):
        keys.redeem("pool", ticket.public_key, key_pair().public, name)
    assert keys.names() == []


def test_a_ticket_of_a_pool_takes_no_name_that_a_node_has(keys: NodeKeys) -> None:
    alone, first = key_pair(), key_pair()
    keys.redeem("pool-7", keys.issue("pool-7").public_key, alone.public)
    ticket = keys.issue("pool", 5)
    keys.redeem("pool", ticket.public_key, first.public, "pool-0")
    for name, owner in (("pool-7", alone), ("pool-0", first)):
        with pytest.raises(ConfigError, match="another key"):
            keys.redeem("pool", ticket.public_key, key_pair().public, name)
        assert keys.key_of(name) == owner.public


def test_a_ticket_for_one_node_names_no_other(keys: NodeKeys) -> None:
    ticket = keys.issue("n1")
    with pytest.raises(ConfigError, match="of the name n1"):
        keys.redeem("n1", ticket.public_key, key_pair().public, "n2")
    assert keys.names() == []
    assert keys.redeem("n1", ticket.public_key, key_pair().public, "n1") == "n1"


def test_a_revoked_pool_has_neither_nodes_nor_ticket(keys: NodeKeys) -> None:
    ticket = keys.issue("pool", 5)
    for name in ("pool-0", "pool-1", "pool-2"):
        keys.redeem("pool", ticket.public_key, key_pair().public, name)
    alone = key_pair()
    keys.redeem("pool-x", keys.issue("pool-x").public_key, alone.public)
    assert keys.revoke("pool-1")
    assert keys.names() == ["pool-0", "pool-2", "pool-x"]
    assert keys.redeem("pool", ticket.public_key, key_pair().public, "pool-1") == "pool-1", "its name is free again"
    assert keys.revoke("pool")
    assert keys.names() == ["pool-x"], "which did not come by the ticket of the pool"
    assert keys.owner(raw(ticket.public_key)) is None
    assert not keys.revoke("pool")


def test_a_ticket_is_kept_from_what_is_read_for_conversations(tmp_path: Path) -> None:
    home, first, second = (tmp_path / name for name in ("home", "first.ticket", "second.ticket"))
    home.mkdir()
    for place in (first, second):
        place.write_text("secret")
        keep_from_commands(str(home), str(place))
        with pytest.raises(PermissionError):
            Reader(str(home)).read(str(place))
    assert os.listdir(home) == [".nodes.ticket"]
    with pytest.raises(StartError, match="cannot be kept from commands"):
        keep_from_commands(str(tmp_path / "nowhere"), str(first))
