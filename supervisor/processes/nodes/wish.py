"""What a conversation needs of the machine that runs it, and how it is opened there. Imported by every supervisor."""

from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.ids import HERE, NodeName

Needs: TypeAlias = tuple[tuple[str, float], ...]
"""Resources that a conversation needs: name and amount, in the order of the names."""


class Wish(msgspec.Struct, frozen=True):
    """What a conversation needs of the machine that runs it."""

    cwd: str | None = None
    """Its directory, as the host names it; `None` where only its session file tells."""
    last: NodeName = HERE
    """Where it ran last."""
    has_run: bool = False
    """Whether it has run anywhere yet."""
    only_here: bool = False
    """Whether it can run on the host alone."""
    lacking: frozenset[NodeName] = frozenset()
    """Nodes that were found to lack its directory."""
    needs: Needs = ()
    """Resources that its node has to have; the host has none."""


ON_HOST: Final = Wish(only_here=True)


class Opening(msgspec.Struct, frozen=True):
    """How a conversation is opened, as its records and its directory depend on it."""

    resume: Literal["no", "if-saved", "must"]
    path: str | None
    """The session file that the client has named."""
    cwd: str | None
    """The directory that the call names, absolute."""
    overrides: bytes = b"{}"
    """Its settings, as JSON of `greenroom.config.settings.ConversationOverrides`."""
    ephemeral: bool = False
    """Whether nothing of it is saved."""


NODE_LOST: Final = "node_lost"
"""The cause of the end of workers whose node is lost."""
