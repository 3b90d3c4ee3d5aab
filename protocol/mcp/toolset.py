"""The two tools as listed by `tools/list`: one superset schema for clients of every version."""

from functools import cache
from typing import Final

from greenroom.protocol.jsonrpc import encode
from greenroom.protocol.mcp.handshake import knows_annotations, knows_titles
from greenroom.protocol.mcp.session_tools import SESSION_TOOLS
from greenroom.protocol.mcp.tool_form import USAGE_PROPERTIES

APPROVAL_POLICIES: Final = ("untrusted", "on-failure", "on-request", "never")
SANDBOX_MODES: Final = ("read-only", "workspace-write", "danger-full-access")


def _text(description: str, **more: object) -> dict[str, object]:
    return {"type": "string", "description": description, **more}


_WAIT: Final[dict[str, object]] = {
    "type": "boolean",
    "description": "`false`: return a `callId` at once; `codex-wait` and `codex-read` then tell how it goes on.",
}
CODEX_PROPERTIES: Final[dict[str, dict[str, object]]] = {
    "prompt": _text("The task for the agent, as the first message of a new conversation."),
    "cwd": _text("Directory in which the agent works. A relative path starts at the server's own directory."),
    "model": _text("Model to use in place of the configured one."),
    "profile": _text("Name of a profile in config.toml whose settings apply to this conversation."),
    "approval-policy": _text(
        "When a command needs the user's consent: `untrusted` (unless known to be harmless), `on-failure` (before a "
        "retry outside the sandbox), `on-request` (when the model asks for it), `never`.",
        enum=list(APPROVAL_POLICIES),
    ),
    "sandbox": _text("What commands may do to the machine.", enum=list(SANDBOX_MODES)),
    "config": {
        "type": "object",
        "description": "Settings that win over config.toml; keys may be dotted paths.",
        "additionalProperties": True,
    },
    "base-instructions": _text("System instructions in place of the built-in ones."),
    "developer-instructions": _text("Further instructions, given to the model as a developer message."),
    "compact-prompt": _text("Instructions for summarising the conversation when its history is compacted."),
    "include-plan-tool": {"type": "boolean", "description": "Whether the agent may publish a plan of its steps."},
    "wait": _WAIT,
    "worktree": {
        "type": "boolean",
        "description": "Whether the agent works in a git worktree of its own, made of the present commit of the "
        "repository around `cwd`; changes that are not committed are not in it. The result names it.",
    },
}

REPLY_PROPERTIES: Final[dict[str, dict[str, object]]] = {
    "prompt": _text("The next message for the agent."),
    "threadId": _text("The conversation to continue: `threadId` of an earlier result."),
    "conversationId": _text("Older name of `threadId`."),
    "sessionId": _text("Oldest name of `threadId`."),
    "wait": _WAIT,
}

OUTPUT_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "required": ["threadId", "content"],
    "properties": {
        "threadId": _text("Names the conversation; give it to `codex-reply` to go on."),
        "content": _text("The agent's last message, or what went wrong."),
        "callId": _text("Names the turn that was started with `wait: false`; it goes on."),
        "usage": {
            "type": "object",
            "description": "Present only where models have prices: what has been used, in tokens and in money.",
            "properties": {
                "turn": {"type": "object", "properties": USAGE_PROPERTIES},
                "conversation": {"type": "object", "properties": USAGE_PROPERTIES},
            },
        },
        "worktree": {
            "type": "object",
            "description": "The conversation's own git worktree, where it has one.",
            "required": ["path", "branch"],
            "properties": {"path": _text("Where it is."), "branch": _text("Its branch.")},
        },
        "error": {
            "type": "object",
            "description": "Present only in a failed call: what kind of failure it was, and its facts.",
            "required": ["kind", "message"],
            "properties": {"kind": _text("Stable name of the failure."), "message": _text("The failure in words.")},
        },
    },
}


def _tool(
    name: str, title: str, description: str, properties: dict[str, dict[str, object]], read_only: bool = False
) -> dict[str, object]:
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {"type": "object", "required": ["prompt"], "properties": properties},
        "outputSchema": OUTPUT_SCHEMA,
        "annotations": {"title": title, "readOnlyHint": read_only, "openWorldHint": True},
    }


TOOLS: Final = (
    _tool(
        "codex",
        "Codex",
        "Start a conversation with a coding agent and give it its first task. Returns the agent's last message and the "
        "`threadId` with which `codex-reply` continues the conversation.",
        CODEX_PROPERTIES,
    ),
    _tool(
        "codex-reply",
        "Codex Reply",
        "Give a further message to a conversation that `codex` started, also one of an earlier run of this server, and "
        "return the agent's answer.",
        REPLY_PROPERTIES,
    ),
)

TOOL_NAMES: Final = tuple(str(tool["name"]) for tool in TOOLS)
"""The tools `codex` and `codex-reply`."""


def _approval_tools() -> tuple[dict[str, object], ...]:
    from greenroom.protocol.mcp.approval_tools import APPROVAL_TOOLS  # rarely needed, and `initialize` should not wait

    return APPROVAL_TOOLS


@cache
def tools_result(version: str | None, session_tools: bool, approval_tools: bool = False) -> bytes:
    """Return the result of `tools/list` in the form of a revision; `None`: no revision was negotiated.

    `session_tools` tells whether the tools about conversations are included, `approval_tools` those about approvals.
    """
    tools = (*TOOLS, *(SESSION_TOOLS if session_tools else ()), *(_approval_tools() if approval_tools else ()))
    left_out = set()
    if not knows_annotations(version):
        left_out.add("annotations")
    if not knows_titles(version):
        left_out |= {"title", "outputSchema"}
    return encode({"tools": [{name: tool[name] for name in tool if name not in left_out} for tool in tools]})
