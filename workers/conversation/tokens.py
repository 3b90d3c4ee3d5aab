"""Counts the tokens of a conversation, and makes the event that clients of all versions read."""

from msgspec import structs

from greenroom.protocol.items import JsonObject
from greenroom.workers.model.responses import Usage


class TokenCounter:
    """Usage of the last response and of all responses so far."""

    def __init__(self, context_window: int | None, total: Usage | None = None) -> None:
        """`context_window` is the effective one, in tokens; `total` the usage of its earlier processes."""
        self._context_window = context_window
        self.total = total or Usage()

    @property
    def used(self) -> int:
        """Tokens of all responses so far."""
        return self.total.total_tokens

    def add(self, usage: Usage) -> JsonObject:
        """Count a response, and return the event with its usage: the last response flat, and all in `info`."""
        self.total = _sum(self.total, usage)
        return self._event(usage)

    def estimated(self, tokens: int) -> JsonObject:
        """Return the event with an estimate of the tokens in the context. Nothing is counted."""
        return self._event(Usage(total_tokens=tokens))

    def _event(self, last: Usage) -> JsonObject:
        flat = structs.asdict(last)
        return {
            "type": "token_count",
            **flat,
            "info": {
                "total_token_usage": structs.asdict(self.total),
                "last_token_usage": flat,
                "model_context_window": self._context_window,
            },
            "rate_limits": None,
        }


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(**{name: getattr(first, name) + getattr(second, name) for name in Usage.__struct_fields__})
