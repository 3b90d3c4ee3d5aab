"""The built-in tools: how requests to the model define each, when it is offered, and what handles its calls.

A handler is named and not imported: the definitions are needed for the first request, the handlers at the first call.
What a definition says of the arguments is less than what the struct of the handler takes: models deviate from it
(`greenroom.workers.tools.arguments`).
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.config.models import CommandTool, PatchTool
from greenroom.config.texts import patch_language
from greenroom.protocol.items import JsonObject
from greenroom.protocol.telemetry.timings import BuiltinTool
from greenroom.workers.patch.grammar import LARK

PlanStepStatus: TypeAlias = Literal["pending", "in_progress", "completed"]
"""The state of a plan's step."""


class ToolOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What decides which tools are offered, and how they are defined."""

    command_tool: CommandTool
    patch_tool: PatchTool
    include_plan: bool
    may_escalate: bool
    """Whether the model may ask for a command without the sandbox."""
    may_login: bool = True
    """Whether the model may ask for a login shell."""
    takes_images: bool = False


class Tool(msgspec.Struct, frozen=True):
    """A built-in tool."""

    name: BuiltinTool
    define: Callable[[ToolOffer], JsonObject | None]
    """Returns its definition, `None` where it is not offered."""
    handler: str
    """Path below `greenroom.workers.tools` of the function that handles a call (`registry.Handler`)."""
    text_handler: str | None = None
    """The same for calls whose input is plain text (`custom_tool_call`); `None` where there are none."""
    other_names: tuple[BuiltinTool, ...] = ()
    """Names by which models call it that have learnt another one."""


_TEXT: Final[JsonObject] = {"type": "string"}


def _object(properties: dict[str, object], required: list[str]) -> JsonObject:
    return {
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": required,
        "additionalProperties": False,
    }


def _function(name: str, description: str, parameters: JsonObject) -> JsonObject:
    return {
        "type": "function",
        "name": name,
        "description": description,
        "strict": False,
        "parameters": parameters,
    }


_SHELL_PROPERTIES: Final[dict[str, object]] = {
    "command": {
        "type": "array",
        "items": _TEXT,
        "description": 'The program and its arguments, such as ["bash", "-lc", "ls | wc -l"] for shell text.',
    },
    "timeout_ms": {
        "type": "number",
        "description": "Milliseconds after which the command is killed; 10000 if left out.",
    },
    "workdir": {
        **_TEXT,
        "description": "Directory to run it in, if not the working directory of the conversation.",
    },
}
_ESCALATION: Final[dict[str, object]] = {
    "with_escalated_permissions": {
        "type": "boolean",
        "description": "Whether to ask the user to let this one command run without the sandbox.",
    },
    "justification": {
        **_TEXT,
        "description": "One sentence for the user why the command needs that; only with the former.",
    },
}
_SHELL_TEXT: Final = "Run a command on this machine and get what it wrote and its exit code."
_ESCALATION_TEXT: Final = (
    " It runs in the sandbox that the permissions tell of. Where that is in the way of the task, for instance for "
    "installing packages, for the network or for writing elsewhere, call it again with `with_escalated_permissions` "
    "and a `justification`; the user is then asked."
)

SHELL: Final = _function("shell", _SHELL_TEXT, _object(_SHELL_PROPERTIES, required=["command"]))
SHELL_WITH_ESCALATION: Final = _function(
    "shell", _SHELL_TEXT + _ESCALATION_TEXT, _object(_SHELL_PROPERTIES | _ESCALATION, required=["command"])
)


_EXEC_PROPERTIES: Final[dict[str, object]] = {
    "cmd": {**_TEXT, "description": "The shell text to run."},
    "workdir": _SHELL_PROPERTIES["workdir"],
    "shell": {**_TEXT, "description": "The shell that runs it, by name or path; the user's if left out."},
    "tty": {
        "type": "boolean",
        "description": "Whether to run it in a terminal, which can be written to later. Without one it reads nothing.",
    },
    "yield_time_ms": {
        "type": "number",
        "description": "Milliseconds to wait for its end before you get an answer, 250 to 30000; 10000 if left out.",
    },
    "max_output_tokens": {"type": "number", "description": "How much of the output you want to read at most."},
}
_LOGIN: Final[dict[str, object]] = {
    "login": {
        "type": "boolean",
        "description": "Whether the shell reads the user's profile first, as it does if this is left out.",
    }
}
_PERMISSIONS: Final[dict[str, object]] = {
    "sandbox_permissions": {
        **_TEXT,
        "enum": ["use_default", "require_escalated"],
        "description": "`require_escalated` asks the user to let this one command run without the sandbox.",
    },
    "justification": _ESCALATION["justification"],
}
_EXEC_TEXT: Final = (
    "Run shell text on this machine. You get what it wrote and its exit code or, where it has not ended after the time "
    "that you are ready to wait, a session ID under which it goes on, for `write_stdin`."
)
_PERMISSIONS_TEXT: Final = _ESCALATION_TEXT.replace(
    "`with_escalated_permissions`", '`sandbox_permissions` set to `"require_escalated"`'
)

WRITE_STDIN: Final = _function(
    "write_stdin",
    "Write to a command that `exec_command` left running, or only wait for more of it. You get what it wrote since you "
    "last looked. What has no terminal takes Ctrl-C alone, which is the character U+0003.",
    _object(
        {
            "session_id": {"type": "number", "description": "The session ID of the command."},
            "chars": {**_TEXT, "description": "What to write; nothing if left out. A line ends with a line feed."},
            "yield_time_ms": {
                "type": "number",
                "description": "Milliseconds to wait for its end before you get an answer: 250 to 30000 after writing, "
                "and at least 5000 where you only wait.",
            },
            "max_output_tokens": _EXEC_PROPERTIES["max_output_tokens"],
        },
        required=["session_id"],
    ),
)


UPDATE_PLAN: Final = _function(
    "update_plan",
    "Show the user your plan for the task, or how far you are with it. Give all steps each time, in order, of which at "
    "most one is in progress, and say in the explanation why the plan changed.",
    _object(
        {
            "explanation": _TEXT,
            "plan": {
                "type": "array",
                "items": _object(
                    {
                        "status": {**_TEXT, "description": f"One of {', '.join(get_args(PlanStepStatus))}."},
                        "step": _TEXT,
                    },
                    required=["step", "status"],
                ),
                "description": "All steps of the plan.",
            },
        },
        required=["plan"],
    ),
)


VIEW_IMAGE: Final = _function(
    "view_image",
    "Look at an image file of this machine: PNG, JPEG, GIF or WebP.",
    _object(
        {"path": {**_TEXT, "description": "Where it is; relative to the working directory of the conversation."}},
        required=["path"],
    ),
)


def _shell(offer: ToolOffer) -> JsonObject | None:
    if offer.command_tool != "shell":
        return None
    return SHELL_WITH_ESCALATION if offer.may_escalate else SHELL


def _exec_command(offer: ToolOffer) -> JsonObject | None:
    if offer.command_tool != "exec_command":
        return None
    properties = _EXEC_PROPERTIES | (_LOGIN if offer.may_login else {}) | (_PERMISSIONS if offer.may_escalate else {})
    text = _EXEC_TEXT + (_PERMISSIONS_TEXT if offer.may_escalate else "")
    return _function("exec_command", text, _object(properties, required=["cmd"]))


def _apply_patch(offer: ToolOffer) -> JsonObject:
    if offer.patch_tool == "freeform":
        grammar = {"type": "grammar", "syntax": "lark", "definition": LARK}
        return {"type": "custom", "name": "apply_patch", "description": patch_language(), "format": grammar}
    described = {**_TEXT, "description": "The whole patch, from `*** Begin Patch` to `*** End Patch`."}
    return _function("apply_patch", patch_language(), _object({"input": described}, required=["input"]))


TOOLS: Final = (
    Tool("shell", _shell, "shell.shell", other_names=("container.exec",)),
    Tool("exec_command", _exec_command, "exec_command.exec_command"),
    Tool(
        "write_stdin",
        lambda offer: WRITE_STDIN if offer.command_tool == "exec_command" else None,
        "write_stdin.write_stdin",
    ),
    Tool("update_plan", lambda offer: UPDATE_PLAN if offer.include_plan else None, "plan.update_plan"),
    Tool("apply_patch", _apply_patch, "apply_patch.apply_patch", text_handler="apply_patch.apply_freeform"),
    Tool("view_image", lambda offer: VIEW_IMAGE if offer.takes_images else None, "view_image.view_image"),
)
"""All of them, in the order in which they are sent."""


def definitions(offer: ToolOffer) -> list[JsonObject]:
    """Return the tools to offer, in the order in which they are sent."""
    return [definition for tool in TOOLS if (definition := tool.define(offer)) is not None]
