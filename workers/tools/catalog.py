"""The definitions of the built-in tools, as in requests to the model."""

from typing import Final, Literal, TypeAlias, get_args

from greenroom.config.models import CommandTool, PatchTool
from greenroom.config.texts import patch_language
from greenroom.protocol.items import JsonObject
from greenroom.workers.patch.grammar import LARK

Status: TypeAlias = Literal["pending", "in_progress", "completed"]
"""The state of a plan's step."""

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
                    {"status": {**_TEXT, "description": f"One of {', '.join(get_args(Status))}."}, "step": _TEXT},
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


def _exec_command(*, may_escalate: bool, may_login: bool) -> JsonObject:
    properties = _EXEC_PROPERTIES | (_LOGIN if may_login else {}) | (_PERMISSIONS if may_escalate else {})
    text = _EXEC_TEXT + (_PERMISSIONS_TEXT if may_escalate else "")
    return _function("exec_command", text, _object(properties, required=["cmd"]))


def _apply_patch(kind: PatchTool) -> JsonObject:
    if kind == "freeform":
        grammar = {"type": "grammar", "syntax": "lark", "definition": LARK}
        return {"type": "custom", "name": "apply_patch", "description": patch_language(), "format": grammar}
    described = {**_TEXT, "description": "The whole patch, from `*** Begin Patch` to `*** End Patch`."}
    return _function("apply_patch", patch_language(), _object({"input": described}, required=["input"]))


def definitions(
    *,
    command_tool: CommandTool,
    patch_tool: PatchTool,
    include_plan: bool,
    may_escalate: bool,
    may_login: bool = True,
    view_image: bool = False,
) -> list[JsonObject]:
    """Return the tools to offer, in the order in which they are sent."""
    match command_tool:
        case "shell":
            commands = [SHELL_WITH_ESCALATION if may_escalate else SHELL]
        case "exec_command":
            commands = [_exec_command(may_escalate=may_escalate, may_login=may_login), WRITE_STDIN]
    optional = [tool for tool, wanted in ((VIEW_IMAGE, view_image),) if wanted]
    return [*commands, *([UPDATE_PLAN] if include_plan else []), _apply_patch(patch_tool), *optional]
