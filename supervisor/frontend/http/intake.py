"""What takes in clients: the server, as this transport knows it."""

from typing import Protocol

from greenroom.supervisor.frontend.connection import Connection


class Intake(Protocol):
    """The server (`greenroom.supervisor.startup.server.Server`)."""

    def attach(self, connection: Connection) -> None:
        """Serve another client until its input ends."""

    def refusal(self) -> str | None:
        """Return why no further client is taken at the moment, for people; `None` where one is."""
