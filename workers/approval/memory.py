"""Remembers the commands that the user has approved for the rest of the session."""

from collections.abc import Sequence


class ApprovedCommands:
    """Commands by their exact argv. Directory, environment and policies do not matter.

    Lives as long as the conversation's process. A change of policy does not affect it.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, ...]] = set()
        self._confirmed: set[tuple[str, ...]] = set()
        self.prefixes: tuple[tuple[str, ...], ...] = ()
        """Beginnings of commands for which the user has made a rule."""

    def remember(self, argv: Sequence[str]) -> None:
        """Record an approval for the session."""
        self._known.add(tuple(argv))

    def knows(self, argv: Sequence[str]) -> bool:
        """Tell whether the user has approved this argv for the session."""
        return tuple(argv) in self._known

    def allow(self, prefix: Sequence[str]) -> None:
        """Record that the user has made a rule which allows commands that begin so."""
        self.prefixes += (tuple(prefix),)

    def confirm(self, argv: Sequence[str]) -> None:
        """Record for the session that the user wants a command to run where it would have run without the question."""
        self._confirmed.add(tuple(argv))

    def confirmed(self, argv: Sequence[str]) -> bool:
        """Tell whether the question about this argv need not be asked again."""
        return tuple(argv) in self._confirmed or self.knows(argv)
