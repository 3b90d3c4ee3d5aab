"""The definitions of our own tools as requests to the model carry them (spec/agent-core 4)."""

from typing import Final, Literal, TypeAlias, get_args

from config.texts import patch_language
from workers.model.items import JsonObject

Status: TypeAlias = Literal["pending", "in_progress", "completed"]
"""How far a step of a plan is."""

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


def _apply_patch() -> JsonObject:
    described = {**_TEXT, "description": "The whole patch, from `*** Begin Patch` to `*** End Patch`."}
    return _function("apply_patch", patch_language(), _object({"input": described}, required=["input"]))


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


def definitions(*, include_plan: bool, may_escalate: bool) -> list[JsonObject]:
    """Return the tools to offer, in the order in which they are sent."""
    shell = SHELL_WITH_ESCALATION if may_escalate else SHELL
    return [shell, *([UPDATE_PLAN] if include_plan else []), _apply_patch()]
