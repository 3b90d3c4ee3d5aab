"""Counts the tokens of a conversation, and makes the event that clients of all versions read."""

from collections.abc import Callable

from msgspec import structs

from greenroom.protocol.events.turn import TokenCount, TokenInfo, TokenUsage
from greenroom.protocol.items import JsonObject
from greenroom.workers.model.responses import ResponseUsage


class TokenCounter:
    """Usage of the last response and of all responses so far."""

    def __init__(self, context_window: int | None, total: ResponseUsage | None = None) -> None:
        """`context_window` is the effective one, in tokens; `total` the usage of its earlier processes."""
        self._context_window = context_window
        self.total = total or ResponseUsage()
        self.on_usage: Callable[[ResponseUsage], None] | None = None
        """Called with each response that is counted."""
        self.account_limits: Callable[[], JsonObject | None] = lambda: None
        """Returns what the model's server has told last of the account's limits."""
        self._told_limits: JsonObject | None = None

    @property
    def used(self) -> int:
        """Tokens of all responses so far."""
        return self.total.total_tokens

    def add(self, usage: ResponseUsage) -> TokenCount:
        """Count a response, and return the event with its usage: the last response flat, and all in `info`."""
        self.total = _sum(self.total, usage)
        if self.on_usage is not None:
            self.on_usage(usage)
        return self._event(usage)

    def estimated(self, tokens: int) -> TokenCount:
        """Return the event with an estimate of the tokens in the context. Nothing is counted."""
        return self._event(ResponseUsage(total_tokens=tokens))

    def news(self) -> TokenCount | None:
        """Return an event with the account's limits, if they are other than told last; nothing is counted."""
        limits = self.account_limits()
        return None if limits in (None, self._told_limits) else self._event(ResponseUsage())

    def _event(self, last: ResponseUsage) -> TokenCount:
        limits = self._told_limits = self.account_limits()
        return TokenCount(
            input_tokens=last.input_tokens,
            cached_input_tokens=last.cached_input_tokens,
            cache_write_input_tokens=last.cache_write_input_tokens,
            output_tokens=last.output_tokens,
            reasoning_output_tokens=last.reasoning_output_tokens,
            total_tokens=last.total_tokens,
            info=TokenInfo(token_usage(self.total), token_usage(last), self._context_window),
            rate_limits=limits,
        )


def token_usage(usage: ResponseUsage) -> TokenUsage:
    """Return the counts in the form of events."""
    return TokenUsage(**structs.asdict(usage))


def _sum(first: ResponseUsage, second: ResponseUsage) -> ResponseUsage:
    return ResponseUsage(
        **{name: getattr(first, name) + getattr(second, name) for name in ResponseUsage.__struct_fields__}
    )
