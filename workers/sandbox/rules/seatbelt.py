"""The same rules for macOS, as a profile for `sandbox-exec`. Written from documentation, NOT tested on the platform.

The last rule that matches decides, so what is refused below something allowed comes after it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within

SANDBOX_EXEC: Final = "/usr/bin/sandbox-exec"

_BASIS: Final = (
    "(version 1)",
    "(deny default)",
    "(allow process-exec)",
    "(allow process-fork)",
    "(allow signal (target same-sandbox))",
    "(allow process-info* (target same-sandbox))",
    "(allow sysctl-read)",
    "(allow user-preference-read)",
    "(allow ipc-posix-sem)",
    "(allow pseudo-tty)",
    '(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))',
    "(allow file-read*)",
)
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx")
_NETWORK: Final = (
    "(allow system-socket)",
    "(allow network-outbound (remote ip))",
    "(allow network-inbound (local ip))",
    "(allow network-bind (local ip))",
    '(allow mach-lookup (global-name "com.apple.SystemConfiguration.configd"))',
    '(allow mach-lookup (global-name "com.apple.trustd.agent"))',
)


def seatbelt_command(argv: Sequence[str], confinement: Confinement) -> list[str]:
    """Return the argv that runs a command under the confinement."""
    return [SANDBOX_EXEC, "-p", profile(confinement), "--", *argv]


def profile(confinement: Confinement) -> str:
    """Return the profile. Its paths must have no symbolic links, because the system compares resolved paths."""
    lines = [*_BASIS, *(f"(allow file-write* file-ioctl (literal {_quoted(path)}))" for path in _DEVICES)]
    lines += (f"(allow file-write* (subpath {_quoted(root)}))" for root in confinement.writable)
    for path in confinement.protected:
        lines.append(f"(deny file-write* (subpath {_quoted(path)}))")
        lines += (f"(allow file-write* (subpath {_quoted(root)}))" for root in _roots_below(path, confinement))
    lines += (f"(deny file-write-unlink (literal {_quoted(path)}))" for path in sorted(set(_above(confinement))))
    lines += _NETWORK if confinement.network else ()
    lines += (f"(deny file-read* file-write* {_matching(hidden)})" for hidden in confinement.hidden)
    return "\n".join(lines) + "\n"


def _roots_below(path: str, confinement: Confinement) -> list[str]:
    return [root for root in confinement.writable if root != path and is_within(root, path)]


def _above(confinement: Confinement) -> Iterator[str]:
    """Return the directories that must not be renamed, since what lies in them is protected by its path."""
    for path in (*confinement.protected, *(hidden.directory for hidden in confinement.hidden)):
        above = os.path.dirname(path)
        while above != os.path.dirname(above):
            if any(is_within(above, root) for root in confinement.writable):
                yield above
            above = os.path.dirname(above)


def _matching(hidden: Hidden) -> str:
    names = (re.escape(name[:-1]) + "[^/]*" if name.endswith("*") else re.escape(name) for name in hidden.names)
    pattern = f"^{re.escape(hidden.directory)}/({'|'.join(names)})(/|$)"
    return '(regex #"' + pattern.replace('"', '\\"') + '")'


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
