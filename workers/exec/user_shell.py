"""The user's shell, and the shell that runs scripts of the model."""

import os
import pwd
from collections.abc import Mapping
from typing import Final

FIT: Final = frozenset({"bash", "sh", "zsh"})
"""Shells that support the syntax of models, and `-lc`."""


def user_shell(environment: Mapping[str, str]) -> str:
    """Return the name of the user's shell."""
    path = environment.get("SHELL") or pwd.getpwuid(os.getuid()).pw_shell or "sh"
    return os.path.basename(path)


def shell_for_text(environment: Mapping[str, str]) -> str:
    """Return the name of the shell to run scripts in: the user's if it is one of `FIT`."""
    name = user_shell(environment)
    return name if name in FIT else "bash"
