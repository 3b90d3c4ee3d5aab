"""Events about the agent's commands."""

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from greenroom.protocol.events.event import Duration, Event, Milliseconds


class Reading(msgspec.Struct, frozen=True, tag_field="type", tag="read"):
    """A part of a command that reads a file."""

    cmd: str
    name: str
    path: str


class Listing(msgspec.Struct, frozen=True, tag_field="type", tag="list_files"):
    """A part of a command that lists files."""

    cmd: str
    path: str | None


class Searching(msgspec.Struct, frozen=True, tag_field="type", tag="search"):
    """A part of a command that searches in files, or for files."""

    cmd: str
    query: str | None
    path: str | None


class UnknownCommand(msgspec.Struct, frozen=True, tag_field="type", tag="unknown"):
    """Any other part of a command."""

    cmd: str


ParsedCommand: TypeAlias = Reading | Listing | Searching | UnknownCommand
"""The effect of one part of a command, for display only."""


class ExecApprovalRequest(Event, tag="exec_approval_request"):
    """A command needs the user's approval; `elicitation/create` follows."""

    turn_id: str
    started_at_ms: Milliseconds
    kind: Literal["command"]
    call_id: str
    command: list[str]
    cwd: str
    parsed_cmd: list[ParsedCommand]
    available_decisions: list[str]
    reason: str | UnsetType = UNSET


class ExecCommandBegin(Event, tag="exec_command_begin"):
    """A command starts."""

    turn_id: str
    started_at_ms: Milliseconds
    call_id: str
    command: list[str]
    cwd: str
    parsed_cmd: list[ParsedCommand]
    source: str
    process_id: str | UnsetType = UNSET


class ExecCommandOutputDelta(Event, tag="exec_command_output_delta"):
    """A command has written output: at most 8192 bytes, in base64."""

    call_id: str
    stream: Literal["stdout", "stderr"]
    chunk: str


class ExecCommandEnd(Event, tag="exec_command_end", kw_only=True):
    """A command has ended. If it could not be started, the exit code is -1 and `stderr` has the reason."""

    turn_id: str
    completed_at_ms: Milliseconds
    call_id: str
    command: list[str]
    cwd: str
    parsed_cmd: list[ParsedCommand]
    source: str
    process_id: str | UnsetType = UNSET
    stdout: str
    stderr: str
    aggregated_output: str
    exit_code: int
    duration: Duration
    formatted_output: str
    status: str


class TerminalInteraction(Event, tag="terminal_interaction"):
    """The model writes to a running command, or only reads its output if `stdin` is empty."""

    since = "December 2025"

    call_id: str
    process_id: str | None
    stdin: str
