"""The user agent for servers and clients."""

import os
import platform
import re
from collections.abc import Mapping
from functools import cache

from greenroom.runtime.originator import originator

_FOREIGN = re.compile(r"[^\x20-\x7e]")
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._/-]")


def user_agent(version: str, environment: Mapping[str, str], client: tuple[str, str] | None = None) -> str:
    """Return the user agent; `client` is the name and version of the MCP client, once it is known."""
    system = _system()
    text = f"{originator(environment)}/{version} ({system}; {platform.machine()}) {_terminal(environment)}"
    if client is not None:
        text += f" ({client[0]}; {client[1]})"
    return _FOREIGN.sub("_", text)


@cache
def _system() -> str:
    """Return the operating system and its version, which are looked up once: each conversation names them."""
    if platform.system() != "Linux":
        return f"{platform.system()} {platform.release()}"
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return f"Linux {os.uname().release}"
    return f"{facts.get('NAME', 'Linux').split()[0]} {facts.get('VERSION_ID', 'unknown')}"


def _terminal(environment: Mapping[str, str]) -> str:
    program = environment.get("TERM_PROGRAM", "").strip()
    version = environment.get("TERM_PROGRAM_VERSION", "").strip()
    token = (f"{program}/{version}" if version else program) or environment.get("TERM") or "unknown"
    return _NO_TOKEN.sub("_", token)
