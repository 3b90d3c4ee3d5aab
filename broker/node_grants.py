"""What workers on nodes may ask for beyond the login: what the settings of the home name, and nothing else.

A worker of this machine runs as its user and could read and start all that itself, so it is asked no questions. A node
is another machine, which may be in other hands (docs/threat-model.md).
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import asdict

from greenroom.config.layers import ConfigVersion, config_version
from greenroom.config.secrets.named_credentials import NamedCredentials, named_credentials
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.answers import AuthError
from greenroom.protocol.internal.broker.questions import TokenCommand

log = logging.getLogger(__name__)

UNNAMED: Final = "the settings of the host do not name this program, so that nobody on a node can have it run"


class NodeGrants:
    """Of one home; its settings are looked up again where they are others."""

    def __init__(self, home: str, config_overrides: Sequence[str], on_nodes: Iterable[WorkerId]) -> None:
        self._home = home
        self._overrides = tuple(config_overrides)
        self._on_nodes = set(on_nodes)
        self._known: tuple[ConfigVersion | None, NamedCredentials] | None = None

    def enter(self, worker_ids: Iterable[WorkerId]) -> None:
        """Note workers that are on nodes."""
        self._on_nodes.update(worker_ids)

    def forget(self, worker_id: WorkerId) -> None:
        """Note that a worker is gone."""
        self._on_nodes.discard(worker_id)

    def is_on_node(self, name: str) -> bool:
        """Tell whether a worker is on a node."""
        return name in self._on_nodes

    def variables(self, name: str, wanted: Sequence[str]) -> Sequence[str]:
        """Return the variables of those that a worker asks for which it may have."""
        if not self.is_on_node(name):
            return wanted
        named = self._named().variables
        refused = [one for one in wanted if one not in named]
        if refused:
            log.warning("%s is on a node and asks for %d variables that no settings name", name, len(refused))
        return [one for one in wanted if one in named]

    def objection(self, name: str, command: TokenCommand) -> AuthError | None:
        """Return why a worker may not have a program run; `None` where it may."""
        if not self.is_on_node(name) or command in (TokenCommand(**asdict(one)) for one in self._named().commands):
            return None
        log.warning("%s is on a node and asks for the output of a program that no settings name", name)
        return AuthError(code="command_failed", user_text=UNNAMED)

    def _named(self) -> NamedCredentials:
        version = config_version(self._home)
        if self._known is None or self._known[0] != version:
            try:
                named = named_credentials(self._home, self._overrides)
            except ConfigError as error:
                log.error("workers on nodes get the login alone: %s", error)
                named = NamedCredentials()
            self._known = version, named
        return self._known[1]
