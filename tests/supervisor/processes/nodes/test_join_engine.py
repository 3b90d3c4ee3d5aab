"""Who gets to a host's nodes socket, and what each may do there: by its key, and about its own workers alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from greenroom.config.tables.nodes import NodesTable
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.ids import NodeName
from greenroom.protocol.internal.node import (
    OLDEST_SERVED,
    PROTOCOL,
    Beat,
    Beaten,
    Enrol,
    Enrolled,
    FromNode,
    Join,
    Joined,
    KillWorker,
    Leave,
    Refused,
    Rejoin,
    ToNode,
)
from greenroom.protocol.internal.process import Exited, KeyPair, Spawn, Spawned
from greenroom.protocol.version import __version__
from greenroom.runtime.zmq.zap import ZapAuthenticator
from greenroom.supervisor.node.link import HostLink
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes import join_engine
from greenroom.supervisor.processes.nodes.join_engine import JoinEngine
from greenroom.supervisor.processes.nodes.keys import KNOWN, KeyOwner, NodeKeys
from tests.supervisor.processes.nodes.test_membership import ONE, TWO, spec
from tests.support.nodes import free_ports

N1, N2 = NodeName("n1"), NodeName("n2")
TIMEOUT = 10.0


class Peer:
    """Somebody who connects with a key."""

    def __init__(self, site: "Site", keys: KeyPair, host_key: str | None = None) -> None:
        self.heard: asyncio.Queue[ToNode | str] = asyncio.Queue()
        self._has_left = False
        self._link = HostLink(
            site.context,
            site.address,
            host_key or site.host_keys.public,
            keys,
            self.heard.put_nowait,
            lambda: self.heard.put_nowait("up"),
            lambda: self.heard.put_nowait("refused"),
        )
        self._link.connect()
        site.closing.append(self.leave)

    def leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._link.close()

    async def next(self) -> ToNode | str:
        async with asyncio.timeout(TIMEOUT):
            return await self.heard.get()

    async def until(self, kind: type[ToNode]) -> ToNode:
        while not isinstance(found := await self.next(), kind):
            pass
        return found

    def say(self, message: FromNode) -> None:
        assert self._link.send(message)


class Site:
    """The engine, and keys."""

    def __init__(self, home: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.authenticator = ZapAuthenticator(self.context)
        self.keys = NodeKeys(str(home))
        self.host_keys = self.keys.host_keys()
        self.address = f"tcp://127.0.0.1:{free_ports(1)}"
        self.engine = JoinEngine(
            self.context, self.authenticator, self.keys, self.host_keys, self.address, NodesTable(), 1 << 30
        )
        self.engine.listen()
        self.exits: list[Exited] = []
        self.engine.start(self.exits.append, lambda _: None)
        self.closing: list[Callable[[], None]] = []

    async def node(self, name: NodeName, keys: KeyPair | None = None) -> Peer:
        """Return a node that has joined."""
        keys = keys or key_pair()
        self.keys.redeem(name, self.keys.issue(name).public_key, keys.public)
        peer = Peer(self, keys)
        assert await peer.next() == "up"
        peer.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2))
        assert isinstance(await peer.next(), Joined)
        return peer

    def state(self, name: NodeName) -> str:
        return next(view.state for view in self.engine.nodes() if view.name == name)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def site_at(home: Path) -> AsyncIterator[Site]:
    site = Site(home)
    try:
        yield site
    finally:
        for close in site.closing:
            close()
        site.engine.close()
        site.authenticator.close()
        site.context.destroy(linger=0)


def test_strangers_and_workers_do_not_get_past_the_handshake(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            assert await Peer(site, key_pair()).next() == "refused"
            worker = key_pair()
            site.authenticator.admit(worker.public, ONE)
            assert await Peer(site, worker).next() == "refused"

    asyncio.run(scene())


def test_a_node_says_nothing_to_who_has_another_key_than_its_host(tmp_path: Path) -> None:
    """Nor does it take that for a refusal: it goes on looking for the host."""

    async def scene() -> None:
        async with site_at(tmp_path) as site:
            keys = key_pair()
            site.keys.redeem(N1, site.keys.issue(N1).public_key, keys.public)
            deceived = Peer(site, keys, host_key=key_pair().public)
            assert await Peer(site, keys).next() == "up", "the right one is known by now"
            await asyncio.sleep(0.3)
            assert deceived.heard.empty()
            assert not deceived._link.send(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2))

    asyncio.run(scene())


def test_a_ticket_lets_its_holder_name_a_key_and_nothing_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            ticket, own = site.keys.issue(N1), key_pair()
            holder = Peer(site, KeyPair(public=ticket.public_key, secret=ticket.secret_key))
            assert await holder.next() == "up"
            holder.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2))
            holder.say(Beat(number=1))
            holder.say(Enrol(public_key=own.public))
            assert isinstance(await holder.next(), Enrolled), "and what came before it was dropped"
            assert site.keys.key_of(N1) == own.public
            holder.say(Enrol(public_key=key_pair().public))
            assert isinstance(await holder.next(), Refused)
            assert site.keys.key_of(N1) == own.public

    asyncio.run(scene())


def test_a_ticket_of_a_pool_lets_in_new_names_and_none_that_is_taken(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            await site.node(NodeName("pool-0"))
            ticket, own = site.keys.issue("pool", 2), key_pair()
            holder = Peer(site, KeyPair(public=ticket.public_key, secret=ticket.secret_key))
            assert await holder.next() == "up"
            known = site.keys.key_of("pool-0")
            holder.say(Enrol(public_key=own.public, name="pool-0"))
            assert isinstance(await holder.next(), Refused)
            assert site.keys.key_of("pool-0") == known
            holder.say(Enrol(public_key=own.public, name="pool-1"))
            assert isinstance(await holder.next(), Enrolled)
            assert site.state(NodeName("pool-1")) == "absent"
            holder.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2))
            holder.say(Enrol(public_key=key_pair().public, name="pool-2"))
            assert isinstance(await holder.next(), Enrolled), "and the ticket itself joined nothing"
            holder.say(Enrol(public_key=key_pair().public, name="pool-3"))
            assert isinstance(await holder.next(), Refused), "over the connection that stands, too"
            assert await Peer(site, KeyPair(public=ticket.public_key, secret=ticket.secret_key)).next() == "refused"
            assert site.keys.names() == ["pool-0", "pool-1", "pool-2"]

    asyncio.run(scene())


@pytest.mark.parametrize("protocol", [OLDEST_SERVED - 1, PROTOCOL + 1])
def test_a_node_of_a_protocol_that_is_not_served_is_refused_with_both_versions(tmp_path: Path, protocol: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            keys = key_pair()
            site.keys.redeem(N1, site.keys.issue(N1).public_key, keys.public)
            peer = Peer(site, keys)
            assert await peer.next() == "up"
            peer.say(Join(version="9.9.9", run="run", protocol=protocol, capacity=2))
            refused = await peer.next()
            assert isinstance(refused, Refused)
            older = "node" if protocol < PROTOCOL else "host"
            for part in ("9.9.9", f"protocol {protocol}", __version__, f"protocol {PROTOCOL}", f"upgrade the {older}"):
                assert part in refused.text
            assert not any(view.takes_workers for view in site.engine.nodes())

    asyncio.run(scene())


@pytest.mark.parametrize("protocol", range(OLDEST_SERVED, PROTOCOL + 1))
def test_a_node_of_another_version_serves_where_its_protocol_is_served(tmp_path: Path, protocol: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            keys = key_pair()
            site.keys.redeem(N1, site.keys.issue(N1).public_key, keys.public)
            peer = Peer(site, keys)
            assert await peer.next() == "up"
            peer.say(Join(version="0.0.9", run="run", protocol=protocol, capacity=2, sandbox="none"))
            assert isinstance(await peer.next(), Joined)
            (view,) = site.engine.nodes()
            assert (view.version, view.takes_workers, view.sandbox) == ("0.0.9", True, "none")

    asyncio.run(scene())


def test_a_node_speaks_of_its_own_workers_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one, two = await site.node(N1), await site.node(N2)
            site.engine.spawn(N1, spec(ONE))
            assert isinstance(await one.until(Spawn), Spawn)
            one.say(Spawned(id=ONE, pid=7))
            await site.until(lambda: site.engine.pid_of(ONE) == 7)
            two.say(Exited(id=ONE, pid=7, returncode=0, max_rss=0))
            two.say(Spawned(id=ONE, pid=8))
            assert isinstance(await two.until(KillWorker), KillWorker), "it is told to end what is not its own"
            assert site.exits == []
            assert site.engine.pid_of(ONE) == 7
            one.say(Exited(id=ONE, pid=7, returncode=-9, max_rss=0, node="n2"))
            await site.until(lambda: bool(site.exits))
            assert [(exited.id, exited.node) for exited in site.exits] == [(ONE, "n1")]

    asyncio.run(scene())


def test_the_connection_of_a_revoked_node_is_cut_as_soon_as_the_host_looks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one, other = await site.node(N1), await site.node(NodeName("n2"))
            site.engine.spawn(N1, spec(ONE))
            site.keys.revoke(N1)
            assert site.engine.drop_revoked() == 1
            assert [(exited.id, exited.cause) for exited in site.exits] == [(ONE, "node_lost")]
            assert isinstance(await one.until(Leave), Leave)
            while await one.next() != "refused":  # at the next handshake, since the first connection has ended
                pass
            assert site.engine.drop_revoked() == 0
            other.say(Beat(number=1))
            assert await other.until(Beaten) == Beaten(number=1)

    asyncio.run(scene())


def test_a_revoked_node_is_let_go_and_not_let_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_engine, "CUT_AFTER", 600.0)

    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one = await site.node(N1)
            site.engine.spawn(N1, spec(ONE))
            site.keys.revoke(N1)
            assert isinstance(await one.until(Leave), Leave)
            assert [(exited.id, exited.cause) for exited in site.exits] == [(ONE, "node_lost")]
            one.say(Beat(number=1))
            assert isinstance(await one.until(Rejoin), Rejoin)
            one.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2))
            assert isinstance(await one.until(Refused), Refused)
            assert site.state(N1) == "lost"
            await site.node(N1)
            one.say(Join(version=__version__, protocol=PROTOCOL, run="another", capacity=2))
            assert isinstance(await one.until(Refused), Refused), "also while another has its name"

    asyncio.run(scene())


def test_a_silent_node_is_away_then_lost_and_has_to_join_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one = await site.node(N1)
            one.say(Beat(number=1))
            assert await one.until(Beaten) == Beaten(number=1)
            site.engine.spawn(N1, spec(ONE))
            await site.until(lambda: site.state(N1) == "away")
            assert site.exits == []
            await site.until(lambda: site.state(N1) == "lost")
            assert [(exited.id, exited.cause) for exited in site.exits] == [(ONE, "node_lost")]
            one.say(Beat(number=2))
            assert isinstance(await one.until(Rejoin), Rejoin)
            one.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2, workers={ONE: 7}))
            assert await one.until(KillWorker) == KillWorker(id=ONE)
            assert site.state(N1) == "ready"

    asyncio.run(scene())


def test_a_worker_that_is_given_up_has_ended_whatever_its_node_says(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one = await site.node(N1)
            for worker_id, pid in ((ONE, 7), (TWO, 8)):
                site.engine.spawn(N1, spec(worker_id))
                await one.until(Spawn)
                one.say(Spawned(id=worker_id, pid=pid))
            site.engine.give_up_worker(ONE, "it lies")
            assert [(exited.id, exited.cause) for exited in site.exits] == [(ONE, "it lies")]
            assert await one.until(KillWorker) == KillWorker(id=ONE, why="it lies")
            site.engine.give_up_worker(ONE, "it lies")
            assert (len(site.exits), site.engine.node_of(TWO), site.state(N1)) == (1, N1, "ready")

    asyncio.run(scene())


def test_nothing_more_is_awaited_of_a_node_whose_link_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_engine, "REPORT_GRACE", 600.0)

    async def scene() -> None:
        async with site_at(tmp_path) as site:
            one = await site.node(N1)
            for worker_id in (ONE, TWO):
                site.engine.spawn(N1, spec(worker_id))
                await one.until(Spawn)
            site.engine.connection_lost(ONE)
            one.say(Beat(number=1))
            await one.until(Beaten)
            assert site.exits == [], "its node may say why"
            one.leave()
            await site.until(lambda: bool(site.exits))
            assert [(exited.id, exited.cause) for exited in site.exits] == [(ONE, "node_lost")]
            assert site.state(N1) == "away", "a link that has ended is not the death of the others"
            site.engine.connection_lost(TWO)
            await site.until(lambda: len(site.exits) == 2)

    asyncio.run(scene())


def test_kills_that_are_ordered_while_the_link_is_away_reach_the_node_when_it_joins_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with site_at(tmp_path) as site:
            keys = key_pair()
            one = await site.node(N1, keys)
            for worker_id, pid in ((ONE, 7), (TWO, 8)):
                site.engine.spawn(N1, spec(worker_id))
                await one.until(Spawn)
                one.say(Spawned(id=worker_id, pid=pid))
            await site.until(lambda: site.engine.pid_of(TWO) == 8)
            one.leave()
            await site.until(lambda: site.state(N1) == "away")
            site.engine.kill(ONE, "it holds too much memory")
            again = Peer(site, keys)
            assert await again.next() == "up"
            again.say(Join(version=__version__, protocol=PROTOCOL, run="run", capacity=2, workers={ONE: 7, TWO: 8}))
            assert isinstance(await again.next(), Joined)
            assert await again.next() == KillWorker(id=ONE, why="it holds too much memory")
            again.say(Exited(id=ONE, pid=7, returncode=-9, max_rss=0, cause="it holds too much memory"))
            await site.until(lambda: bool(site.exits))
            assert [exited.id for exited in site.exits] == [ONE]
            assert site.engine.pid_of(TWO) == 8

    asyncio.run(scene())


def test_a_node_is_not_turned_away_while_the_keys_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[GreenroomError] = []
    owner = NodeKeys.owner

    def watched(keys: NodeKeys, key: bytes) -> KeyOwner | None:
        try:
            return owner(keys, key)
        except GreenroomError as error:
            failures.append(error)
            raise

    monkeypatch.setattr(NodeKeys, "owner", watched)

    async def scene() -> None:
        async with site_at(tmp_path) as site:
            keys = key_pair()
            site.keys.redeem(N1, site.keys.issue(N1).public_key, keys.public)
            (tmp_path / KNOWN).chmod(0o640)
            peer = Peer(site, keys)
            await site.until(lambda: len(failures) >= 2)
            assert peer.heard.empty(), "neither let in nor refused, and it tries again"
            (tmp_path / KNOWN).chmod(0o600)
            assert await peer.next() == "up"

    asyncio.run(scene())


def test_the_secrets_of_messages_are_not_shown(tmp_path: Path) -> None:
    shown = repr(Spawn(spec=msgspec.structs.replace(spec(ONE), keys=KeyPair(public="p", secret="hush"))))
    assert "hush" not in shown
