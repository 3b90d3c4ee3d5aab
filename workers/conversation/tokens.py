"""Counts the tokens of a conversation, and tells clients in the forms of all versions at once."""

from msgspec import structs

from greenroom.protocol.items import JsonObject
from greenroom.workers.model.responses import Usage


class TokenCounter:
    """Usage of the last response and of all responses so far."""

    def __init__(self, context_window: int | None, total: Usage | None = None) -> None:
        """`context_window` is the effective one, in tokens; `total` what earlier processes of the conversation used."""
        self._context_window = context_window
        self.total = total or Usage()

    @property
    def used(self) -> int:
        """Tokens of all responses so far."""
        return self.total.total_tokens

    def add(self, usage: Usage) -> JsonObject:
        """Count a response and return the event that tells of it: the last response flat, and all in `info`."""
        self.total = _sum(self.total, usage)
        return self._event(usage)

    def estimated(self, tokens: int) -> JsonObject:
        """Return the event that tells how many tokens the context has by an estimate. Nothing is counted for it."""
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
