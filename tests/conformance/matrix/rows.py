"""The clients of other makers, and the ways in which they reach Greenroom: the rows of the matrix."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from tests.conformance.exec import sdk as exec_sdk
from tests.conformance.foreign import Program, codex_sdk, python_1, python_2, typescript
from tests.conformance.matrix import acp_scenes
from tests.conformance.matrix.scene import Report, Scene

Way: TypeAlias = Literal["own server", "attached", "HTTP"]
WAYS: Final[Mapping[str, tuple[Way, ...]]] = {
    "MCP Python SDK 1": ("own server", "attached", "HTTP"),
    "MCP Python SDK 2, legacy": ("own server", "attached", "HTTP"),
    "MCP Python SDK 2, auto": ("own server", "attached", "HTTP"),
    "MCP TypeScript SDK 1": ("own server", "attached", "HTTP"),
    "MCP TypeScript SDK 2, legacy": ("own server", "attached", "HTTP"),
    "MCP TypeScript SDK 2, auto": ("own server", "attached", "HTTP"),
    "Codex Python SDK": ("own server", "attached"),
    "Codex Python SDK, asynchronous": ("own server", "attached"),
    "codex-acp": ("own server", "attached"),
    "Codex TypeScript SDK": ("own server", "attached"),
}
"""Which clients there are, and how each can reach Greenroom."""
TIMEOUT: Final = 240.0
"""Seconds that a client may take over all situations."""

_NOTHING: Final = r"(?!)"
_ANSWER_OF_A_CANCELLED_CALL: Final = r"Received a response for an unknown message ID: .*Turn aborted: interrupted"
_PROGRESS_WITH_THE_ANSWER: Final = r"Received a progress notification for an unknown token: "
"""These clients handle a notification a step later than an answer that they read with it, whose token is then gone."""
_END_OF_THE_STANDING_STREAM: Final = "SSE stream disconnected: AbortError: This operation was aborted"
"""That client breaks its own stream when it closes."""
_TYPESCRIPT: Final = f"{_ANSWER_OF_A_CANCELLED_CALL}|{_PROGRESS_WITH_THE_ANSWER}|{_END_OF_THE_STANDING_STREAM}"


@dataclass(frozen=True)
class Row:
    """One client over one way, and what may differ from others in it."""

    client: str
    way: Way
    play: Callable[[Scene], Report]
    """Play all situations. Raises `UnavailableError`."""
    mode: str = ""
    """How it negotiates, or which of its faces it shows."""
    speaks_app_server: bool = False
    """Whether it is a client of `app-server`, whose messages are compared with the schemas of the reference."""
    asked: Literal["user", "reviewer", "nobody"] = "user"
    """Who is asked for consent."""
    shares: bool = True
    """Whether two clients can have turns of one conversation waiting at the same time."""
    streams_text: bool = False
    """Whether it gets texts in pieces."""
    interrupted: str = "interrupted"
    """Pattern of what it is told of an interrupted turn."""
    crashed: str = "died"
    """Pattern of what it is told of a killed worker."""
    version: str | None = None
    """The revision of MCP that is agreed on."""
    complaints: str = _NOTHING
    """Pattern of what it may complain of, with the reasons above. Anything else is a failure."""

    @property
    def name(self) -> str:
        """The name of the row."""
        return f"{self.client}, {self.way}"


def _run(find: Callable[[], Program]) -> Callable[[Scene], Report]:
    def play(scene: Scene) -> Report:
        ended = replace(scene.imports.of(find()), timeout=TIMEOUT).run(scene.as_json())
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        report: Report = json.loads(ended.stdout.splitlines()[-1])
        return report

    return play


def _mcp(client: str, way: Way) -> Row:
    makes = {
        "MCP Python SDK 1": python_1,
        "MCP Python SDK 2": python_2,
        "MCP TypeScript SDK 1": lambda: typescript("typescript1.mjs"),
        "MCP TypeScript SDK 2": lambda: typescript("typescript2.mjs"),
    }
    maker, _, mode = client.partition(", ")
    return Row(
        client,
        way,
        _run(makes[maker]),
        mode=mode,
        shares=way != "own server",
        interrupted="interrupted|enough|cancelled|Cancelled",
        version="2026-07-28" if mode == "auto" else "2025-11-25",
        complaints=_TYPESCRIPT if "TypeScript" in maker else _NOTHING,
    )


def _row(client: str, way: Way) -> Row:
    shares = way != "own server"
    match client:
        case "Codex Python SDK":
            return Row(client, way, _run(codex_sdk), speaks_app_server=True, shares=shares, streams_text=True)
        case "Codex Python SDK, asynchronous":
            return Row(
                client,
                way,
                _run(codex_sdk),
                mode="async",
                speaks_app_server=True,
                asked="reviewer",
                shares=shares,
                streams_text=True,
            )
        case "codex-acp":
            return Row(
                client,
                way,
                acp_scenes.play,
                speaks_app_server=True,
                shares=shares,
                streams_text=True,
                interrupted="cancelled",
            )
        case "Codex TypeScript SDK":
            return Row(
                client, way, _run(exec_sdk.matrix), asked="nobody", shares=False, interrupted="AbortError"
            )  # a run refuses what needs consent, and a conversation that another run uses
    return _mcp(client, way)


ROWS: Final = tuple(_row(client, way) for client, ways in WAYS.items() for way in ways)
