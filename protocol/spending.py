"""What a turn or a conversation has used, in tokens and in money, as it travels between processes and to clients."""

from greenroom.protocol.items import JsonObject
from greenroom.protocol.message import Message


class Money(Message):
    """An amount in one currency."""

    currency: str
    """A code of ISO 4217."""
    amount: str
    """A decimal number, exact."""


class Spending(Message):
    """Tokens as the model's server has reported them, and what they cost by the user's prices."""

    input_tokens: int = 0
    """Including cached ones."""
    cached_input_tokens: int = 0
    output_tokens: int = 0
    """Including those of reasoning."""
    reasoning_output_tokens: int = 0
    total_tokens: int = 0
    cost: tuple[Money, ...] = ()
    """One entry for each currency."""
    unpriced_tokens: int = 0
    """Tokens of models that have no price; they are not in the cost."""


def spending_json(spending: Spending) -> JsonObject:
    """Return it as results of tools have it."""
    return {
        "inputTokens": spending.input_tokens,
        "cachedInputTokens": spending.cached_input_tokens,
        "outputTokens": spending.output_tokens,
        "reasoningOutputTokens": spending.reasoning_output_tokens,
        "totalTokens": spending.total_tokens,
        "cost": [{"currency": money.currency, "amount": money.amount} for money in spending.cost],
        "unpricedTokens": spending.unpriced_tokens,
    }


def usage_member(turn: Spending, conversation: Spending) -> JsonObject:
    """Return the member `usage` of a result."""
    return {"turn": spending_json(turn), "conversation": spending_json(conversation)}
