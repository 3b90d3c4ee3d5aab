"""Tells a turn to people, as text for standard error. Free of I/O.

Texts of models, commands and servers are made safe to print (`greenroom.protocol.display`).
"""

from collections.abc import Iterator
from functools import singledispatchmethod
from typing import Final, Literal, TypeAlias

from greenroom.protocol.display import clean_lines
from greenroom.protocol.events.event import Object
from greenroom.protocol.events.thread_item import (
    AgentMessage,
    AnyItem,
    CommandExecution,
    FileChanges,
    McpToolCall,
    WebSearch,
)
from greenroom.protocol.events.thread_item import Reasoning as ReasoningItem
from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.failure import Failure
from greenroom.protocol.quoting import shell_join
from greenroom.protocol.version import __version__
from greenroom.supervisor.frontend.exec.event_lines import INTERRUPTED
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.update import Update

ReportStyle: TypeAlias = Literal["bold", "dim", "agent", "user", "warning", "error"]

RULE: Final = "--------"
_CODES: Final[dict[ReportStyle, str]] = {
    "bold": "1",
    "dim": "2",
    "agent": "35;3",
    "user": "36",
    "warning": "33;1",
    "error": "31;1",
}
_MARKS: Final = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}


class ReportText:
    """Implements `greenroom.supervisor.frontend.exec.turn_renderer.TurnRenderer`."""

    def __init__(self, prompt: str, *, colored: bool) -> None:
        self._prompt = prompt
        self._colored = colored
        self._tokens: int | None = None
        self._diff = ""
        """What has been told of all patches; it is repeated whenever it may have changed."""

    def opened(self, event: SessionConfigured) -> Iterator[bytes]:
        """Tell that the conversation is open, with its settings, and repeat what the user has said."""
        effort = event.reasoning_effort if isinstance(event.reasoning_effort, str) else "none"
        facts = {
            "workdir": event.cwd,
            "model": event.model,
            "provider": event.model_provider_id,
            "approval": event.approval_policy,
            "sandbox": _sandbox(event.sandbox_policy),
            "reasoning effort": effort,
            "session id": event.thread_id,
        }
        yield self._lines(f"Greenroom v{__version__}", RULE)
        for name, value in facts.items():
            yield f"{self._styled('bold', f'{name}:')} {_clean(value)}\n".encode()
        yield self._lines(RULE, self._styled("user", "user"))
        yield self._lines(*clean_lines(self._prompt))

    def tell(self, one: Update) -> Iterator[bytes]:
        """Tell a step."""
        for text in self._texts(one):
            yield f"{text}\n".encode()

    def fail(self, failure: Failure) -> Iterator[bytes]:
        """Tell why a turn has failed of which no step tells that."""
        yield self._lines(f"{self._styled('error', 'ERROR:')} {_clean(failure.message)}")

    def warn(self, text: str) -> Iterator[bytes]:
        """Tell something that the user should know."""
        yield self._lines(self._warning(text))

    @singledispatchmethod
    def _texts(self, one: Update) -> Iterator[str]:
        """Yield the texts of a step; none for pieces of texts and outputs."""
        del one
        yield from ()

    @_texts.register
    def _(self, one: update.ItemBegan) -> Iterator[str]:
        match one.item:
            case CommandExecution() as item:
                yield self._styled("agent", "exec")
                yield f"{_clean(shell_join(item.command))} in {_clean(item.directory)}"
            case McpToolCall() as item:
                yield f"{self._styled('agent', 'mcp:')} {_clean(f'{item.server}/{item.tool}')} started"

    @_texts.register
    def _(self, one: update.ItemEnded) -> Iterator[str]:
        yield from self._ended(one.item)

    @_texts.register
    def _(self, one: update.PlanChanged) -> Iterator[str]:
        yield self._styled("agent", "plan")
        for step in one.steps:
            yield f"{_MARKS[step.status]} {_clean(step.step)}"

    @_texts.register
    def _(self, one: update.DiffChanged) -> Iterator[str]:
        if one.diff != self._diff:
            self._diff = one.diff
            yield from clean_lines(one.diff)

    @_texts.register
    def _(self, one: update.TokensCounted) -> Iterator[str]:
        if one.info is not None:
            self._tokens = one.info.total_token_usage.total_tokens
        yield from ()

    @_texts.register
    def _(self, one: update.Retried) -> Iterator[str]:
        yield self._warning(one.fault.message)

    @_texts.register
    def _(self, one: update.Failed) -> Iterator[str]:
        yield f"{self._styled('error', 'ERROR:')} {_clean(one.fault.message)}"

    @_texts.register
    def _(self, one: update.Warned) -> Iterator[str]:
        yield self._warning(one.message)

    @_texts.register
    def _(self, one: update.Compacted) -> Iterator[str]:
        del one
        yield self._styled("dim", "context compacted")

    @_texts.register
    def _(self, one: update.ServersFailed) -> Iterator[str]:
        for failure in one.failures:
            yield self._warning(f"MCP server {failure.server} is left out: {failure.error}")

    @_texts.register
    def _(self, one: update.TurnFinished) -> Iterator[str]:
        if one.status == "interrupted":
            yield INTERRUPTED
        elif one.status == "completed" and self._tokens is not None:
            yield self._styled("dim", "tokens used")
            yield f"{self._tokens:,}"

    def _ended(self, item: AnyItem) -> Iterator[str]:
        match item:
            case AgentMessage() if item.text:
                yield self._styled("agent", "codex")
                yield from clean_lines(item.text)
            case ReasoningItem():
                yield from clean_lines("\n".join(item.summary_text or item.raw_content))
            case CommandExecution():
                yield f" {_result(item)}:"
                yield from clean_lines(item.aggregated_output or "")
                yield ""
            case FileChanges():
                yield self._styled("agent", "apply patch")
                yield f"patch: {item.status}"
                yield from (_clean(path) for path in sorted(item.changes))
            case McpToolCall():
                told = item.status if item.fault is None else f"failed: {item.fault}"
                yield f"{self._styled('agent', 'mcp:')} {_clean(f'{item.server}/{item.tool}')} ({_clean(told)})"
            case WebSearch():
                yield f"{self._styled('agent', 'web search:')} {_clean(item.query)}"

    def _warning(self, text: str) -> str:
        return f"{self._styled('warning', 'warning:')} {_clean(text)}"

    def _styled(self, style: ReportStyle, text: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colored else text

    def _lines(self, *lines: str) -> bytes:
        return "".join(f"{line}\n" for line in lines).encode()


def _result(item: CommandExecution) -> str:
    spent = "" if item.duration is None else f" in {_milliseconds(item)}ms"
    match item:
        case CommandExecution(status="declined"):
            return "declined"
        case CommandExecution(exit_code=0):
            return f"succeeded{spent}"
        case CommandExecution(exit_code=None):
            return f"failed{spent}"
    return f"exited {item.exit_code}{spent}"


def _milliseconds(item: CommandExecution) -> int:
    return 0 if item.duration is None else item.duration.secs * 1000 + item.duration.nanos // 1_000_000


def _sandbox(policy: Object) -> str:
    kind = str(policy.get("type"))
    if kind != "workspace-write":
        return kind
    roots = policy.get("writable_roots")
    named = ["workdir", *(roots if isinstance(roots, list) else ())]
    network = " (network access enabled)" if policy.get("network_access") else ""
    return f"{kind} [{', '.join(map(str, named))}]{network}"


def _clean(text: str) -> str:
    return " ⏎ ".join(clean_lines(text))
