"""Where Ray keeps its token, which gives access to a whole cluster, and so to the nodes that run there."""

import os
from typing import Final

NAMES: Final = ("auth_token*",)
"""Entries of that directory which are hidden from commands."""


def ray_directory() -> str:
    """Return the directory of this user in which Ray keeps the token, empty where it is not there."""
    directory = os.path.join(os.path.expanduser("~"), ".ray")
    return directory if os.path.isdir(directory) else ""
