"""The form in which tools are listed."""

from typing import Final


def text(description: str, **more: object) -> dict[str, object]:
    """Return the schema of a string."""
    return {"type": "string", "description": description, **more}


def number(description: str, least: int, most: int | None = None) -> dict[str, object]:
    """Return the schema of an integer within limits."""
    limits = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return {"type": "integer", "description": description, **limits}


def tool_definition(
    name: str,
    title: str,
    description: str,
    properties: dict[str, dict[str, object]],
    required: tuple[str, ...],
    output: dict[str, dict[str, object]],
    hints: dict[str, bool],
) -> dict[str, object]:
    """Return a tool; the first member of `output` is in every result."""
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {"type": "object", "required": required, "properties": properties},
        "outputSchema": {"type": "object", "required": tuple(output)[:1], "properties": output},
        "annotations": {"title": title, **hints, "openWorldHint": False},
    }


LOOKS: Final = {"readOnlyHint": True}
STOPS: Final = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True}
MAKES: Final = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False}

USAGE_PROPERTIES: Final[dict[str, dict[str, object]]] = {
    **{
        name: {"type": "integer", "description": meaning}
        for name, meaning in (
            ("inputTokens", "Tokens of the input, cached ones included."),
            ("cachedInputTokens", "Those that the model's server had cached."),
            ("outputTokens", "Tokens of the output, reasoning included."),
            ("reasoningOutputTokens", "Those of reasoning."),
            ("totalTokens", "Tokens in all."),
            ("unpricedTokens", "Tokens of models without a price, which the cost leaves out."),
        )
    },
    "cost": {
        "type": "array",
        "description": "What that costs by the prices of the configuration, one entry for each currency.",
        "items": {
            "type": "object",
            "required": ["currency", "amount"],
            "properties": {"currency": text("Such as `USD`."), "amount": text("An exact decimal number.")},
        },
    },
}
"""What a turn or a conversation has used (`greenroom.protocol.spending`)."""
