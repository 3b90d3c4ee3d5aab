"""What takes in clients that come after the start: a socket, or another transport beside it.

A listener makes a `Connection` for each client and hands it to the server (`ClientIntake.attach`). The server starts
its listeners before anything else is up, and stops them first at its end.
"""

from typing import Protocol

from greenroom.supervisor.frontend.connection import Connection


class ClientIntake(Protocol):
    """The server, as listeners know it (`greenroom.supervisor.startup.server.Server`)."""

    def attach(self, connection: Connection) -> None:
        """Serve another client until its input ends."""

    def refusal(self) -> str | None:
        """Return why no further client is taken at the moment, for people; `None` where one is."""


class Listener(Protocol):
    """Takes in clients on the running loop."""

    async def start(self, intake: ClientIntake) -> None:
        """Listen. Raises `OSError` and `StartError`."""

    def stop(self) -> None:
        """Take in no more clients; those that have come are served on."""

    async def drained(self) -> None:
        """Wait for what is to end before the server does, beside its own turns."""

    async def close(self) -> None:
        """Drop what has not become a connection yet, and remove what was made for listening."""
