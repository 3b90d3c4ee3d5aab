"""What a call needs of a machine, as its `config` names it."""

import json

import pytest

from greenroom.supervisor.conversations.wishes import needs_of
from greenroom.supervisor.processes.nodes.wish import Needs


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (None, ()),
        ({"model": "x"}, ()),
        ({"greenroom.resources": {"gpu_box": 1}}, (("gpu_box", 1.0),)),
        ({"greenroom": {"resources": {"b": 2, "a": 0.5}}}, (("a", 0.5), ("b", 2.0))),
        ({"greenroom.resources.gpu_box": 1, "greenroom.resources.rack": 1}, (("gpu_box", 1.0), ("rack", 1.0))),
        ({"greenroom.resources": {"gpu_box": "many"}}, ()),
        ({"greenroom.resources": {"gpu_box": -1}}, ()),
        ({"greenroom": 1}, ()),
    ],
)
def test_resources_are_read_as_settings_are(config: dict[str, object] | None, needs: Needs) -> None:
    overrides = {} if config is None else {"config": config}
    assert needs_of(json.dumps(overrides).encode()) == needs
