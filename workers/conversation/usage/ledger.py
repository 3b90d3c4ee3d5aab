"""What a conversation has used, by turn and in all, in tokens and in money. Free of I/O."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import structs

from greenroom.config.tables.prices import PriceRow, price_of
from greenroom.protocol.spending import Money, Spending
from greenroom.workers.conversation.usage.billing import BilledTokens, add, cost, plain
from greenroom.workers.model.responses import ResponseUsage


class Ledger:
    """Belongs to one conversation, and is made where its settings have prices."""

    def __init__(self, prices: Mapping[str, PriceRow], before: Mapping[str, ResponseUsage]) -> None:
        """`before` is the usage of the conversation's earlier processes, by model."""
        self._prices = prices
        self._all = dict(before)
        self._turn: dict[str, ResponseUsage] = {}

    def begin_turn(self) -> None:
        """Count for another turn from now on."""
        self._turn = {}

    def add(self, model: str, usage: ResponseUsage) -> None:
        """Count a response."""
        for used in (self._all, self._turn):
            used[model] = total((used.get(model, ResponseUsage()), usage))

    @property
    def turn(self) -> Spending:
        """What the present turn has used so far, or the last one has used in all."""
        return self._spending(self._turn)

    @property
    def conversation(self) -> Spending:
        """What all turns have used."""
        return self._spending(self._all)

    def _spending(self, used: Mapping[str, ResponseUsage]) -> Spending:
        amounts: dict[str, Decimal] = {}
        unpriced = 0
        for model, usage in used.items():
            row = price_of(model, self._prices)
            if row is None:
                unpriced += usage.total_tokens
                continue
            tokens = BilledTokens(
                usage.input_tokens, usage.cached_input_tokens, usage.cache_write_input_tokens, usage.output_tokens
            )
            amounts[row.currency] = add(amounts.get(row.currency, Decimal(0)), cost(tokens, row))
        whole = total(tuple(used.values()))
        return Spending(
            input_tokens=whole.input_tokens,
            cached_input_tokens=whole.cached_input_tokens,
            output_tokens=whole.output_tokens,
            reasoning_output_tokens=whole.reasoning_output_tokens,
            total_tokens=whole.total_tokens,
            cost=tuple(Money(currency=name, amount=plain(amount)) for name, amount in sorted(amounts.items())),
            unpriced_tokens=unpriced,
        )


def total(usages: tuple[ResponseUsage, ...]) -> ResponseUsage:
    """Return the sum."""
    return ResponseUsage(*(sum(counts) for counts in zip(*(structs.astuple(usage) for usage in usages), strict=True)))
