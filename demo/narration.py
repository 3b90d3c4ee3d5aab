"""Prints a turn for a person while it runs, and records it for later checks."""

import base64
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO, TypeAlias

import msgspec

_MARKS: Final = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
_STYLES: Final = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}
_LABEL: Final = 8

NarrationStyle: TypeAlias = Literal["bold", "dim", "good", "bad"]


class Terminal:
    """Writes lines with a label in the margin. Uses colours only on a terminal."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._open = False

    def heading(self, text: str) -> None:
        self.end_line()
        self._write(f"\n{self.styled(text, 'bold')}\n")

    def line(self, label: str, text: str, style: NarrationStyle | None = None) -> None:
        self.end_line()
        margin = self.styled(f"  {label:<{_LABEL}}", "dim")
        self._write(f"{margin}{self.styled(text, style) if style else text}".rstrip() + "\n")

    def stream(self, label: str, piece: str) -> None:
        """Append to the current line."""
        if not self._open:
            self._write(self.styled(f"  {label:<{_LABEL}}", "dim"))
            self._open = True
        self._write(piece)

    def end_line(self) -> None:
        if self._open:
            self._open = False
            self._write("\n")

    def styled(self, text: str, style: NarrationStyle) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self._colour else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


@dataclass(slots=True)
class ShownTurn:
    """The record of one call."""

    conversation: str = ""
    plans: int = 0
    deltas: int = 0
    text: str = ""
    """The text of all messages."""
    commands: list["ShownCommand"] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    completed: bool = False


@dataclass(slots=True)
class ShownCommand:
    """One command."""

    line: str
    exit_code: int | None = None
    output: str = ""


class _Kind(msgspec.Struct):
    type: str


class _Params(msgspec.Struct):
    msg: msgspec.Raw


class _Configured(msgspec.Struct):
    session_id: str


class _PlanStep(msgspec.Struct):
    step: str
    status: str


class _Plan(msgspec.Struct):
    plan: list[_PlanStep]


class _Delta(msgspec.Struct):
    delta: str


class _Begin(msgspec.Struct):
    call_id: str
    command: list[str]


class _Output(msgspec.Struct):
    call_id: str
    chunk: str | list[int]


class _End(msgspec.Struct):
    call_id: str
    exit_code: int
    stdout: str = ""
    stderr: str = ""


class _Message(msgspec.Struct):
    message: str


class _Complete(msgspec.Struct):
    last_agent_message: str | None = None


class Narrator:
    """Prints one call's events as they arrive. An MCP client calls `heard` for each notification."""

    def __init__(self, terminal: Terminal) -> None:
        self.turn = ShownTurn()
        self._terminal = terminal
        self._running: dict[str, ShownCommand] = {}
        self._told_by: Mapping[str, Callable[[msgspec.Raw], None]] = {
            "session_configured": self._configured,
            "plan_update": self._plan,
            "agent_message_delta": self._delta,
            "agent_message": self._message_ended,
            "exec_command_begin": self._command_begins,
            "exec_command_output_delta": self._command_prints,
            "exec_command_end": self._command_ends,
            "error": self._problem,
            "stream_error": self._problem,
            "task_complete": self._task_completed,
        }

    def heard(self, method: str, params: msgspec.Raw) -> None:
        """Print one notification, if it is an event for people."""
        if method != "codex/event":
            return
        message = msgspec.json.decode(params, type=_Params).msg
        tell = self._told_by.get(msgspec.json.decode(message, type=_Kind).type)
        if tell is not None:
            tell(message)

    def _configured(self, message: msgspec.Raw) -> None:
        self.turn.conversation = msgspec.json.decode(message, type=_Configured).session_id
        self._terminal.line("id", self.turn.conversation)

    def _plan(self, message: msgspec.Raw) -> None:
        self.turn.plans += 1
        steps = msgspec.json.decode(message, type=_Plan).plan
        line = "  ".join(f"{_MARKS.get(step.status, step.status)} {step.step}" for step in steps)
        self._terminal.line("plan", line)

    def _delta(self, message: msgspec.Raw) -> None:
        piece = msgspec.json.decode(message, type=_Delta).delta
        self.turn.deltas += 1
        self.turn.text += piece
        self._terminal.stream("model", piece)

    def _message_ended(self, _message: msgspec.Raw) -> None:
        self._terminal.end_line()

    def _command_begins(self, message: msgspec.Raw) -> None:
        begin = msgspec.json.decode(message, type=_Begin)
        command = ShownCommand(_command_line(begin.command))
        self.turn.commands.append(command)
        self._running[begin.call_id] = command
        self._terminal.line("runs", f"$ {command.line}", "bold")

    def _command_prints(self, message: msgspec.Raw) -> None:
        output = msgspec.json.decode(message, type=_Output)
        chunk = base64.b64decode(output.chunk) if isinstance(output.chunk, str) else bytes(output.chunk)
        if command := self._running.get(output.call_id):
            self._show_output(command, chunk.decode(errors="replace"))

    def _command_ends(self, message: msgspec.Raw) -> None:
        end = msgspec.json.decode(message, type=_End)
        command = self._running.pop(end.call_id, None)
        if command is None:
            return
        command.exit_code = end.exit_code
        if not command.output:
            self._show_output(command, end.stdout + end.stderr)
        if end.exit_code:
            self._terminal.line("", f"exit code {end.exit_code}", "bad")

    def _show_output(self, command: ShownCommand, text: str) -> None:
        command.output += text
        for line in text.splitlines():
            self._terminal.line("", line, "dim")

    def _problem(self, message: msgspec.Raw) -> None:
        problem = msgspec.json.decode(message, type=_Message).message
        self.turn.problems.append(problem)
        self._terminal.line("problem", problem, "bad")

    def _task_completed(self, _message: msgspec.Raw) -> None:
        self.turn.completed = True


def _command_line(argv: list[str]) -> str:
    """Return a command as typed by a person, without the shell that a server may have added."""
    if len(argv) == 3 and argv[1] in ("-c", "-lc"):
        return argv[2]
    return shlex.join(argv)
