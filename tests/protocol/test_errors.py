"""Every error of Greenroom has a kind that programs may rely on."""

from collections.abc import Iterator

import pytest

from greenroom.protocol import errors
from greenroom.protocol.errors import ERROR_KINDS, GreenroomError


def family(kind: type[GreenroomError]) -> Iterator[type[GreenroomError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("kind", sorted(family(GreenroomError), key=str), ids=str)
def test_each_error_has_a_known_kind(kind: type[GreenroomError]) -> None:
    assert kind.kind in ERROR_KINDS
    assert kind.__doc__


def test_the_kinds_that_clients_read_of_stay() -> None:
    promised = {"worker_crashed", "turn_aborted", "model_error", "approval_unavailable", "overloaded", "config"}
    assert promised <= ERROR_KINDS
    assert errors.ModelError.kind == "model_error"
