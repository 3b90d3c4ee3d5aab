"""Whether two processes are of one service is told by their control groups, where these can be read."""

import builtins
import io
from typing import Any

import pytest

from greenroom.supervisor.startup.replacement.same_service import is_same_service


@pytest.mark.parametrize(
    ("groups", "same"),
    [
        ({1: "0::/a", 2: "0::/a"}, True),
        ({1: "0::/a", 2: "0::/b"}, False),
        ({1: "0::/a"}, True),
        ({2: "0::/b"}, True),
        ({}, True),
    ],
)
def test_the_control_group_decides(groups: dict[int, str], same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.open

    def read(path: Any, *rest: Any, **more: Any) -> Any:
        if not str(path).startswith("/proc/"):
            return real(path, *rest, **more)
        pid = int(str(path).split("/")[2])
        if pid not in groups:
            raise FileNotFoundError(path)
        return io.StringIO(groups[pid])

    monkeypatch.setattr(builtins, "open", read)
    assert is_same_service(1, 2) is same
