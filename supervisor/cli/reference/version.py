"""`greenroom --version --json`: the version of the program, what it was built from, and what it speaks."""

import json
import platform
import sys
from typing import Final, get_args

from greenroom.protocol.mcp.handshake import HANDSHAKE_VERSIONS
from greenroom.protocol.mcp.stateless import VERSIONS
from greenroom.protocol.version import __version__
from greenroom.runtime.build import commit
from greenroom.sessions.records.format import HistoryMode

SCHEMA_VERSION: Final = 1
APP_SERVER: Final = ("v2",)
"""The generations of the app-server protocol."""
OLDEST_SESSIONS: Final = "2025-08"
"""The format of session files before there were history modes."""
WRITTEN_SESSIONS: Final[HistoryMode] = "legacy"
"""The history mode of files that Greenroom begins; others keep theirs."""


def version_document() -> dict[str, object]:
    """Return what is known, for programs."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "version": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "protocols": {"mcp": [*HANDSHAKE_VERSIONS, *VERSIONS], "app-server": list(APP_SERVER)},
        "sessions": {"written": [WRITTEN_SESSIONS], "read": [OLDEST_SESSIONS, *get_args(HistoryMode)]},
    }


def run() -> int:
    """Print it."""
    sys.stdout.write(json.dumps(version_document(), indent=2) + "\n")
    return 0
