"""The saved conversations that a command line means: by a part of the id, or by what they have in common."""

import math
import os
from argparse import Namespace
from itertools import chain

from greenroom.config.home import codex_home
from greenroom.protocol.errors import GreenroomError
from greenroom.sessions.selection import Selection
from greenroom.sessions.storage.finder import SessionName, list_archived, list_sessions
from greenroom.supervisor.cli.status.actions import matches


class ChoiceError(GreenroomError):
    """No conversation is meant, or several."""


def home_of_user() -> str:
    """Return the Codex home. Raises `ConfigError`."""
    return codex_home(os.environ)


def choose_session(home: str, given: str) -> SessionName:
    """Return the conversation with this part of its id, listed or archived. Raises `ChoiceError`."""
    names = chain(list_sessions(home), list_archived(home))
    found = {name.conversation_id: name for name in names if matches(name.conversation_id, given)}
    if len(found) == 1:
        return next(iter(found.values()))
    text = f"several are meant: {', '.join(found)}" if found else f"there is none in {home}"
    raise ChoiceError(f"no conversation {given}; {text}")


def selection(arguments: Namespace) -> Selection:
    """Return what the options of a filter ask for."""
    directory = arguments.directory and os.path.normpath(os.path.join(os.getcwd(), arguments.directory))
    return Selection(
        text=arguments.text,
        directory=directory,
        since=-math.inf if arguments.since is None else arguments.since,
        before=math.inf if arguments.before is None else arguments.before,
        states=frozenset(arguments.state or ()),
        archived=arguments.archived,
    )
