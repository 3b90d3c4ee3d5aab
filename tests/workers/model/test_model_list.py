"""The names of models are found in the lists of all servers, and no content breaks the reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.model_list import models_in


@pytest.mark.parametrize(
    ("content", "models"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ("a", "b")),
        ({"models": [{"slug": "a", "display_name": "A"}]}, ("a",)),
        ({"models": [{"name": "models/a"}, {"model": "b"}]}, ("models/a", "b")),
        ({"data": ["a", {"id": ""}, 5, None]}, ("a",)),
        ({"data": []}, ()),
        ({"data": "a"}, None),
        (["a"], None),
        ("a", None),
    ],
)
def test_names_are_found(content: object, models: tuple[str, ...] | None) -> None:
    assert models_in(json.dumps(content).encode()) == models


@given(st.binary())
def test_bytes_are_a_list_only_where_they_are_json_with_one(body: bytes) -> None:
    found = models_in(body)
    if found is not None:
        content = json.loads(body)
        assert isinstance(content.get("data", content.get("models")), list)
