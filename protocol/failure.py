"""The failure of a turn or a job as the supervisor hands it to a front end, which writes it as its protocol does."""

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """A stable kind for programs, a text for people, and further facts."""

    kind: str
    message: str
    facts: dict[str, object] = {}
    answer: str | None = None
    """The agent's message in spite of the failure."""
