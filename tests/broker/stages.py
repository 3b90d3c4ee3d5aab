"""A house with its broker process, an issuer, and everything that talks to them, for one scene of a test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import zmq

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, Broadcast
from greenroom.supervisor.processes.broker_client import BrokerClient
from greenroom.workers.model.credentials.channel import ABSENCE, CredentialsChannel
from tests.broker.brokers import House, house
from tests.broker.homes import FRESH, tokens, write
from tests.broker.issuer import Deed, MockIssuer


class Stage:
    """One house, played in one loop."""

    def __init__(self, issuer: MockIssuer, made: House) -> None:
        self.issuer = issuer
        self.house = made
        self.home = made.home
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.heard: asyncio.Queue[Broadcast] = asyncio.Queue()
        self.changes: asyncio.Queue[AuthChanged] = asyncio.Queue()
        self.channels: list[CredentialsChannel] = []
        self._link: BrokerClient | None = None

    @property
    def link(self) -> BrokerClient:
        """The supervisor's link."""
        if self._link is None:
            self._link = self.house.link(self.context, self.heard.put_nowait)
        return self._link

    async def channel(
        self, name: str, *, listens: bool = False, on_node: bool = False, absence_s: float = ABSENCE
    ) -> CredentialsChannel:
        """Return the channel of a worker that the broker has been told of."""
        spec = self.house.worker(name, listens=listens, on_node=on_node)
        await self.link.attach({WorkerId(name): spec.keys.public}, on_node=on_node)
        made = CredentialsChannel(self.context, spec, self.changes.put_nowait, absence_s=absence_s)
        self.channels.append(made)
        await made.start()
        return made

    async def workers(self, count: int) -> list[CredentialsChannel]:
        """Return the channels of many workers."""
        return list(await asyncio.gather(*(self.channel(f"w-{number}") for number in range(count))))

    def restart(self) -> None:
        """Do what the supervisor does when its broker has died."""
        self.link.broker_died()
        self.house.start()
        self.link.broker_started()

    def close(self) -> None:
        for channel in self.channels:
            channel.close()
        if self._link is not None:
            self._link.close()
        self.context.destroy(linger=0)


@asynccontextmanager
async def stage(home: Any, issuer: MockIssuer, **fields: Any) -> AsyncIterator[Stage]:
    """Give a house on a home whose broker talks to `issuer`."""
    specs = {"issuer": issuer.url} | fields.pop("spec_fields", {})
    with house(str(home), spec_fields=specs, **fields) as made:
        made.start()
        built = Stage(issuer, made)
        try:
            yield built
        finally:
            built.close()
            await asyncio.to_thread(made.stop)


def play(
    home: Any,
    scene: Callable[[Stage], Awaitable[None]],
    lasts: float | None = FRESH,
    deeds: Iterable[Deed] = (),
    **fields: Any,
) -> None:
    """Run a scene.

    `lasts`: seconds that the access token of the login lasts, `None` for no login. `deeds`: what the issuer does with
    the first refreshes; a broker begins to refresh an expired token as soon as it is there.
    """

    async def run() -> None:
        async with MockIssuer() as issuer:
            issuer.deeds.extend(deeds)
            if lasts is not None:
                write(str(home), tokens(issuer.grant(), lasts))
            async with asyncio.timeout(40), stage(home, issuer, **fields) as built:
                await scene(built)

    asyncio.run(run())
