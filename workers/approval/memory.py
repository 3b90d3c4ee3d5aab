"""Remembers the commands that the user has approved for the rest of the session."""

from collections.abc import Sequence


class ApprovedCommands:
    """Commands by their argv, which must be the very same. Directory, environment and policies do not count.

    Lives as long as the conversation has a process. A change of policy leaves it as it is.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, ...]] = set()

    def remember(self, argv: Sequence[str]) -> None:
        """Note a consent that was given for the session."""
        self._known.add(tuple(argv))

    def knows(self, argv: Sequence[str]) -> bool:
        """Say whether the user has approved this argv for the session."""
        return tuple(argv) in self._known
