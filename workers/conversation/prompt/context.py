"""The messages that open a conversation: permissions, instructions of the project, and the environment."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from greenroom.config.reader import Reader
from greenroom.config.settings import Settings
from greenroom.config.skills import Skill
from greenroom.config.tables.sandbox import allows_network
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.prompt import prompt
from greenroom.workers.conversation.prompt.project_doc import ProjectDoc, Search, project_directories, read_project_doc
from greenroom.workers.conversation.prompt.skills import skills_of, skills_text
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.exec.user_shell import user_shell

_LOCALTIME: Final = "/etc/localtime"
_ZONES: Final = "/zoneinfo/"
MOST_PREFIXES: Final = 100
"""Allowed beginnings of commands that the model is told of."""


class InitialContext:
    """Belongs to one conversation."""

    def __init__(self, reader: Reader, turn: CurrentTurn, transcript: Transcript, *, is_present: bool) -> None:
        """`is_present`: whether the history of the session file contains the context already."""
        self._reader = reader
        self._turn = turn
        self._transcript = transcript
        self._is_present = is_present

    def add_once(self) -> None:
        """Append the context to the history, unless it is there."""
        if self._is_present:
            return
        settings = self._turn.settings
        search = Search(
            max_bytes=settings.project_doc_max_bytes,
            fallback_names=settings.project_doc_fallback_filenames,
        )
        directories = project_directories(settings.cwd, settings.project_root_markers)
        document = read_project_doc(self._reader, settings.home, directories, search)
        for note in document.notes:
            self._transcript.warn(note)
        found = skills_of(settings, self._reader, directories)
        for fault in found.faults:
            self._transcript.warn(f"{fault.path} is no skill: {fault.message}.")
        for item in context_items(settings, document, found.enabled):
            self._transcript.add(item)
        self._transcript.record(self._turn.context_record())
        self._is_present = True


def context_items(settings: Settings, document: ProjectDoc, skills: Sequence[Skill] = ()) -> list[JsonObject]:
    """Return the messages that open a conversation: one of the role `developer`, then one of the role `user`."""
    policy = settings.sandbox_policy
    permissions = prompt.Permissions(
        approval_policy=settings.approval_policy,
        sandbox_mode=policy.type,
        network_access=allows_network(settings.sandbox_policy),
        writable_roots=(settings.cwd, *policy.writable_roots) if policy.type == "workspace-write" else (),
        approved_prefixes=settings.rules.allowed_prefixes[:MOST_PREFIXES],
    )
    environment = prompt.EnvironmentContext(
        cwd=settings.cwd,
        shell=user_shell(os.environ),
        current_date=datetime.now().astimezone().strftime("%Y-%m-%d"),
        timezone=_timezone(),
        approval_policy=settings.approval_policy,
        sandbox_mode=policy.type,
        network_access=allows_network(settings.sandbox_policy),
    )
    guidance = None if document.text is None else prompt.user_instructions_text(document.text, settings.cwd)
    messages = (
        prompt.message(
            "developer", settings.developer_instructions, skills_text(skills), prompt.permissions_text(permissions)
        ),
        prompt.message("user", guidance, prompt.environment_text(environment)),
    )
    return [message for message in messages if message is not None]


def _timezone() -> str:
    """Return the IANA name of the local time zone, or its abbreviation where the name is unknown."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if "/" in named:
        return named
    goal = ""
    with suppress(OSError):
        goal = os.readlink(_LOCALTIME)
    _, marker, name = (goal if _ZONES in goal else os.path.realpath(_LOCALTIME)).partition(_ZONES)
    return name if marker else time.tzname[0]
