"""The definitions of our own tools as requests to the model carry them (spec/agent-core 4)."""

from typing import Final

from workers.model.items import JsonObject
from workers.tools.plan import STATUSES

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


SHELL: Final = _function(
    "shell",
    "Run a command on this machine and get what it wrote and its exit code.",
    _object(
        {
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
        },
        required=["command"],
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
                    {"status": {**_TEXT, "description": f"One of {', '.join(STATUSES)}."}, "step": _TEXT},
                    required=["step", "status"],
                ),
                "description": "All steps of the plan.",
            },
        },
        required=["plan"],
    ),
)


def definitions(include_plan: bool) -> list[JsonObject]:
    """Return the tools to offer, in the order in which they are sent."""
    return [SHELL, UPDATE_PLAN] if include_plan else [SHELL]
