"""A message that cannot fit is refused with the length that would, and one that may fit is never refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.models import ModelFamily, ModelRow, model_family
from greenroom.protocol.errors import PromptTooLongError
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.history.history_entry import IMAGE_WEIGHT
from greenroom.workers.conversation.prompt.message_limit import BYTES_PER_TOKEN, check_length

WINDOW = 5_000
FAMILY = ModelFamily(name="m", context_window=WINDOW)


def message(text: str, images: int = 0) -> JsonObject:
    parts: list[Any] = [{"type": "input_text", "text": text}]
    parts += [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}] * images
    return {"type": "message", "role": "user", "content": parts}


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.integers(1, 4_000),
    st.integers(0, WINDOW * BYTES_PER_TOKEN - 1),
    st.integers(0, 2),
)
def test_the_length_that_a_refusal_names_would_have_fitted_and_one_more_would_not(
    piece: str, times: int, fixed: int, images: int
) -> None:
    text = piece * times
    try:
        check_length(message(text, images), FAMILY, fixed)
    except PromptTooLongError as error:
        allowed = error.facts["max_characters"]
        assert error.facts["characters"] == len(text)
        assert 0 <= allowed < len(text)
        if allowed:
            check_length(message(text[:allowed], images), FAMILY, fixed)
        with pytest.raises(PromptTooLongError):
            check_length(message(text[: allowed + 1], images), FAMILY, fixed)
    else:
        used = fixed + len(text.encode()) + images * IMAGE_WEIGHT
        assert used <= WINDOW * BYTES_PER_TOKEN


@pytest.mark.parametrize(
    ("family", "fixed"),
    [
        (msgspec.structs.replace(FAMILY, window_is_known=False), 0),
        (model_family("nobody-knows-it"), 0),
        (FAMILY, WINDOW * BYTES_PER_TOKEN),
    ],
    ids=["unknown window", "unknown model", "nothing would fit"],
)
def test_nothing_is_refused_where_the_estimate_has_no_ground(family: ModelFamily, fixed: int) -> None:
    check_length(message("x" * 10_000_000), family, fixed)


def test_a_window_that_the_user_names_is_known() -> None:
    unknown = model_family("nobody-knows-it")
    assert unknown.configured(context_window=1000, auto_compact=None).window_is_known
    assert not unknown.configured(context_window=None, auto_compact=5).window_is_known
    assert model_family("mine-1", {"mine": ModelRow(context_window=1000)}).window_is_known
    assert not model_family("mine-1", {"mine": ModelRow(image_input=True)}).window_is_known


def test_what_was_said_to_the_turn_before_takes_room_from_what_is_said_now() -> None:
    half = message("x" * (WINDOW * BYTES_PER_TOKEN // 2))
    check_length(half, FAMILY, 0, [half])
    with pytest.raises(PromptTooLongError) as caught:
        check_length(half, FAMILY, 0, [half, message("y" * 100)])
    assert caught.value.facts["max_characters"] == WINDOW * BYTES_PER_TOKEN // 2 - 100


def test_the_text_names_both_lengths() -> None:
    with pytest.raises(PromptTooLongError, match=r"20,001 characters.* 20,000\."):
        check_length(message("x" * (WINDOW * BYTES_PER_TOKEN + 1)), FAMILY, 0)


def test_what_json_writes_with_an_escape_counts_once() -> None:
    text = "\n" * (WINDOW * BYTES_PER_TOKEN)
    assert len(json.dumps(text)) > WINDOW * BYTES_PER_TOKEN
    check_length(message(text), FAMILY, 0)
