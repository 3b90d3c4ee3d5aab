"""A node's key: on the disk before its ticket is shown, in force once the host knows it, and never lost for another."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.ids import NodeName
from greenroom.protocol.secret_names import SECRET_NAMES, covers
from greenroom.supervisor.node.enrolment import enrol
from greenroom.supervisor.node.identity import (
    FRESH,
    Choice,
    adopt,
    choose_identity,
    load_identity,
    read_ticket,
    ticket_of,
)
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import NodeKeys, Ticket, write_private
from tests.supervisor.processes.nodes.test_join_engine import Site, site_at

N1 = NodeName("n1")


def state_below(tmp_path: Path) -> str:
    state = tmp_path / "state"
    state.mkdir()
    return str(state)


def enrolled(site: Site, state: str) -> Choice:
    """Return a node whose key is known."""
    ticket = site.keys.issue(N1)
    choice = choose_identity(state, ticket)
    site.keys.redeem(N1, ticket.public_key, choice.identity.keys.public)
    adopt(state, choice.identity)
    return choose_identity(state, None)


def test_without_key_and_ticket_there_is_no_node(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a ticket"):
        choose_identity(str(tmp_path), None)
    with pytest.raises(ConfigError, match="no ticket"):
        read_ticket(str(tmp_path / "absent"))
    write_private(str(tmp_path / "odd"), b"{}")
    with pytest.raises(ConfigError, match="is no ticket"):
        read_ticket(str(tmp_path / "odd"))


def test_the_same_ticket_makes_one_key_however_often_it_is_shown(tmp_path: Path) -> None:
    keys, state = NodeKeys(str(tmp_path / "home")), state_below(tmp_path)
    first, second = keys.issue("n1"), keys.issue("n2")
    begun = choose_identity(state, first)
    assert begun.is_fresh
    assert choose_identity(state, first) == begun, "as it may have been taken already"
    assert load_identity(state) is None
    adopt(state, begun.identity)
    assert choose_identity(state, first) == Choice(begun.identity, is_fresh=False)
    assert not (Path(state) / FRESH).exists()
    other = choose_identity(state, second)
    assert other.identity.keys != begun.identity.keys
    assert choose_identity(state, None).identity == begun.identity
    assert covers(SECRET_NAMES, FRESH)
    assert (Path(state) / FRESH).stat().st_mode & 0o777 == 0o600
    write_private(str(Path(state) / FRESH), b"[]")
    with pytest.raises(StartError, match="no node's key"):
        choose_identity(state, second)


def test_a_ticket_that_is_refused_leaves_the_key_that_works(tmp_path: Path) -> None:
    async def scene() -> None:
        state = state_below(tmp_path)
        async with site_at(tmp_path) as site:
            working = enrolled(site, state)
            over = site.keys.issue(N1)
            site.keys.issue(N1)  # in its place
            choice = choose_identity(state, over)
            assert choice.is_fresh
            with pytest.raises(StartError, match="was used, or is over"):
                await enrol(choice.identity, over, site.address)
            assert choose_identity(state, None) == working
            assert site.keys.key_of(N1) == working.identity.keys.public

    asyncio.run(scene())


def test_a_ticket_is_taken_once_and_an_answer_that_was_lost_costs_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        state = state_below(tmp_path)
        async with site_at(tmp_path) as site:
            ticket = site.keys.issue(N1)
            choice = choose_identity(state, ticket)
            await enrol(choice.identity, ticket, site.address)
            assert site.keys.key_of(N1) == choice.identity.keys.public
            again = choose_identity(state, ticket)  # it was killed before it could adopt it
            assert again == choice
            await enrol(again.identity, ticket, site.address)

    asyncio.run(scene())


def test_a_host_that_is_not_there_or_another_one_is_told(tmp_path: Path) -> None:
    async def scene() -> None:
        state = state_below(tmp_path)
        async with site_at(tmp_path) as site:
            ticket = site.keys.issue(N1)
            other: Ticket = msgspec.structs.replace(ticket, host_key=key_pair().public)
            with pytest.raises(StartError, match="no host was reached"):
                await enrol(choose_identity(state, other).identity, other, site.address, within=0.3)
            assert site.keys.key_of(N1) is None

    asyncio.run(scene())


@pytest.fixture
def keys(tmp_path: Path) -> NodeKeys:
    return NodeKeys(str(tmp_path / "home"))


@pytest.fixture
def state(tmp_path: Path) -> str:
    path = tmp_path / "state"
    path.mkdir()
    return str(path)


def adopted(state: str, ticket: Ticket, name: str | None = None) -> str:
    """Note that the host has taken the node in, and return its public key."""
    identity, _ = choose_identity(state, ticket, name)
    adopt(state, identity)
    return identity.keys.public


def test_a_node_keeps_its_key_without_its_ticket_and_with_it(keys: NodeKeys, state: str) -> None:
    ticket = keys.issue("n1")
    public = adopted(state, ticket)
    for again in (None, ticket):
        identity, is_fresh = choose_identity(state, again)
        assert (identity.keys.public, is_fresh) == (public, False)
    assert choose_identity(state, keys.issue("n1")).identity.keys.public != public, (
        "a new ticket for one node is for a new key"
    )


def test_a_node_of_a_pool_keeps_its_key_with_a_new_ticket_and_has_it_entered_again(keys: NodeKeys, state: str) -> None:
    public = adopted(state, keys.issue("pool", 3), "pool-0")
    second = keys.issue("pool", 3)
    identity, is_fresh = choose_identity(state, second, "pool-0")
    assert (identity.keys.public, is_fresh, identity.ticket) == (public, True, second.public_key)
    assert choose_identity(state, None).identity.keys.public == public, (
        "until the host has answered, the key counts as it did"
    )


def test_a_key_is_for_one_host_and_one_name(keys: NodeKeys, state: str, tmp_path: Path) -> None:
    ticket = keys.issue("pool", 3)
    public = adopted(state, ticket, "pool-0")
    with pytest.raises(ConfigError, match="pool-0"):
        choose_identity(state, None, "pool-1")
    assert choose_identity(state, None, "pool-0").identity.keys.public == public
    elsewhere = NodeKeys(str(tmp_path / "another")).issue("pool", 3)
    assert choose_identity(state, elsewhere, "pool-0").identity.keys.public != public


def test_a_name_has_to_fit_the_ticket(keys: NodeKeys, state: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        choose_identity(state, keys.issue("pool", 3))
    with pytest.raises(ConfigError, match="of the name n1"):
        choose_identity(state, keys.issue("n1"), "n2")
    with pytest.raises(ConfigError, match="cannot be the name"):
        choose_identity(state, keys.issue("pool", 3), "pool-/")
    assert load_identity(state) is None


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
    adopted(state, ticket, "pool-0")
    os.unlink(path)
    assert ticket_of(state, path) is None
    assert ticket_of(state, None) is None
