"""Only what we said comes back: for the same request, in time, unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp.request_state import CallState, StateError, fingerprint, seal, unseal

KEY = bytes(range(32))
REQUEST = fingerprint("codex", b'{"prompt":"x","cwd":"/"}')
STATE = CallState("call", ConversationId("0199"), REQUEST, "1:2", expires=100.0)


def test_a_state_comes_back_as_it_was() -> None:
    assert unseal(seal(STATE, KEY), REQUEST, KEY, now=99.0) == STATE


@given(st.data())
def test_a_changed_state_is_refused(data: st.DataObject) -> None:
    text = seal(STATE, KEY)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCDwxyz0189-_").filter(lambda letter: letter != text[place]))
    changed = text[:place] + other + text[place + 1 :]
    try:
        found = unseal(changed, REQUEST, KEY, now=0.0)
    except StateError:
        return
    assert found == STATE, "only bits that stand for nothing may differ"


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(StateError):
        unseal(text, REQUEST, KEY, now=0.0)


def test_a_state_of_another_key_is_refused() -> None:
    with pytest.raises(StateError, match="signature"):
        unseal(seal(STATE, KEY), REQUEST, KEY[::-1], now=0.0)


def test_a_state_counts_for_its_request_only() -> None:
    with pytest.raises(StateError, match="another request"):
        unseal(seal(STATE, KEY), fingerprint("codex", b'{"prompt":"y"}'), KEY, now=0.0)


def test_a_state_has_its_time() -> None:
    with pytest.raises(StateError, match="old"):
        unseal(seal(STATE, KEY), REQUEST, KEY, now=100.0)


def test_how_the_arguments_are_written_makes_no_difference() -> None:
    assert fingerprint("codex", b'{ "cwd":"\\u002f", "prompt" : "x" }') == REQUEST
    assert fingerprint("codex-reply", b'{"prompt":"x","cwd":"/"}') != REQUEST
