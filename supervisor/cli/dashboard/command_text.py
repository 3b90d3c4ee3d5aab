"""Command lines as the page shows them: in one line, cut, and without what looks like a secret. Free of I/O."""

import re
import shlex
from collections.abc import Sequence
from typing import Final

from greenroom.protocol.display import clean
from greenroom.runtime.log.log import MASK, redact

LONGEST: Final = 200
"""Characters that are shown."""
READ: Final = 4000
"""Characters that are looked at."""
_NAME: Final = r"[\w-]*(?:key|secret|token|passw|credential)[\w-]*"
_SECRETS: Final = (
    re.compile(rf"({_NAME}['\"]?\s*[=:]\s*['\"]*)[^\s'\"&;]+", re.IGNORECASE),
    re.compile(rf"(--?{_NAME}['\"]?\s+['\"]*)[^\s'\"&;]+", re.IGNORECASE),
    re.compile(r"(authorization['\"]?\s*[=:]\s*['\"]*(?:\w+\s+)?)[^\s'\"]+", re.IGNORECASE),
    re.compile(r"(://[^/\s:@'\"]*:)[^/\s@'\"]+(?=@)"),
)
"""What is before a secret, and the secret: assignments, options, headers, and passwords in addresses."""


def command_text(command: Sequence[str], name: str) -> str:
    """Return a command line; the name of the process where it has none."""
    text = shlex.join(command)[:READ] if command else name
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    text = clean(redact(text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
