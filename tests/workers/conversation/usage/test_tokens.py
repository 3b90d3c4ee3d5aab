"""Tokens are counted per response and in total, and told in the forms of all versions."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.responses import ResponseUsage

COUNTS = st.integers(0, 10**9)
FLAT = {"input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens"}
usages = st.builds(ResponseUsage, **dict.fromkeys(ResponseUsage.__struct_fields__, COUNTS))


def total_of(usages: list[ResponseUsage], name: str) -> int:
    return sum(getattr(usage, name) for usage in usages)


@given(st.lists(usages, min_size=1, max_size=6))
def test_the_last_response_is_told_flat_and_all_are_told_in_info(responses: list[ResponseUsage]) -> None:
    count = TokenCounter(1000)
    for response in responses:
        told = count.add(response)
    event = msgspec.to_builtins(told)
    assert event["type"] == "token_count"
    info = event["info"]
    for name in ResponseUsage.__struct_fields__:
        assert event[name] == info["last_token_usage"][name] == getattr(responses[-1], name)
        assert info["total_token_usage"][name] == total_of(responses, name)
    assert set(event) >= FLAT
    assert event["rate_limits"] is None


@given(usages, usages)
def test_a_resumed_conversation_goes_on_counting(before: ResponseUsage, now: ResponseUsage) -> None:
    count = TokenCounter(None, before)
    count.add(now)
    assert count.total.total_tokens == before.total_tokens + now.total_tokens


def test_the_window_is_told_where_it_is_known() -> None:
    for window in (None, 258_400):
        info = TokenCounter(window).add(ResponseUsage()).info
        assert info is not None
        assert info.model_context_window == window
