"""Money adds up exactly, however tokens are spread over responses, turns, processes and models."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.tables.prices import PriceRow
from greenroom.protocol.spending import Money, Spending
from greenroom.workers.conversation.usage.ledger import Ledger
from greenroom.workers.model.responses import ResponseUsage

PRICES = {
    "big": PriceRow("1.25", "10", cached_input="0.125"),
    "small": PriceRow(0.05, 0.4, cached_input=0.005, cache_write_input="0.0625"),
    "elsewhere": PriceRow(3, 15, currency="EUR"),
}
MODELS = st.sampled_from(["big", "big-2", "small", "elsewhere", "free"])


@st.composite
def usages(draw: st.DrawFn) -> ResponseUsage:
    total_input = draw(st.integers(0, 10**12))
    cached = draw(st.integers(0, total_input))
    written = draw(st.integers(0, total_input - cached))
    output = draw(st.integers(0, 10**9))
    return ResponseUsage(total_input, cached, written, output, draw(st.integers(0, output)), total_input + output)


RESPONSES = st.lists(st.tuples(MODELS, usages()), max_size=12)


def amounts(spending: Spending) -> dict[str, Fraction]:
    return {money.currency: Fraction(Decimal(money.amount)) for money in spending.cost}


def by_hand(responses: list[tuple[str, ResponseUsage]]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for model, usage in responses:
        row = next((row for name, row in PRICES.items() if model.startswith(name)), None)
        if row is None:
            continue
        parts = (
            (usage.input_tokens - usage.cached_input_tokens - usage.cache_write_input_tokens, row.input),
            (usage.cached_input_tokens, row.input if row.cached_input is None else row.cached_input),
            (usage.cache_write_input_tokens, row.input if row.cache_write_input is None else row.cache_write_input),
            (usage.output_tokens, row.output),
        )
        cost = sum((Fraction(count) * Fraction(str(price)) for count, price in parts), Fraction(0)) / 10**6
        found[row.currency] = found.get(row.currency, Fraction(0)) + cost
    return found


@given(RESPONSES)
def test_the_cost_is_exactly_that_of_each_response_by_itself(responses: list[tuple[str, ResponseUsage]]) -> None:
    ledger = Ledger(PRICES, {})
    for model, usage in responses:
        ledger.add(model, usage)
    spending = ledger.conversation
    assert amounts(spending) == by_hand(responses)
    assert spending.total_tokens == sum(usage.total_tokens for _, usage in responses)
    assert spending.unpriced_tokens == sum(usage.total_tokens for model, usage in responses if model == "free")
    assert ledger.turn == spending


@given(st.lists(RESPONSES, max_size=5), st.integers(0, 5))
def test_turns_and_processes_add_up_to_the_conversation(turns: list[list[tuple[str, ResponseUsage]]], cut: int) -> None:
    ledger = Ledger(PRICES, {})
    sums: dict[str, Fraction] = {}
    for number, responses in enumerate(turns):
        if number == cut:  # another process goes on with what the session file says
            ledger = Ledger(PRICES, ledger._all)
        ledger.begin_turn()
        for model, usage in responses:
            ledger.add(model, usage)
        for currency, amount in amounts(ledger.turn).items():
            sums[currency] = sums.get(currency, Fraction(0)) + amount
    assert amounts(ledger.conversation) == sums


def test_amounts_are_written_plainly() -> None:
    ledger = Ledger(PRICES, {})
    ledger.add("big", ResponseUsage(input_tokens=1, total_tokens=1))
    assert ledger.conversation.cost == (Money(currency="USD", amount="0.00000125"),)
    ledger.add("big", ResponseUsage(output_tokens=10**13, total_tokens=10**13))
    assert ledger.conversation.cost == (Money(currency="USD", amount="100000000.00000125"),)


def test_counts_that_contradict_each_other_cost_no_less_than_nothing() -> None:
    ledger = Ledger(PRICES, {})
    ledger.add(
        "small", ResponseUsage(input_tokens=5, cached_input_tokens=9, cache_write_input_tokens=9, total_tokens=5)
    )
    assert ledger.conversation.cost == (Money(currency="USD", amount="0.000000025"),)


def test_what_nothing_was_used_for_costs_nothing() -> None:
    assert Ledger(PRICES, {}).conversation == Spending()
