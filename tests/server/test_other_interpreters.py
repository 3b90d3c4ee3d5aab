"""A whole server runs on every CPython that is supported, where the machine has it; its packages are installed then."""

import sys

import pytest

from benchmarks.interpreters import VERSIONS, Uninstalled, Version, installed
from tests.on_interpreters import PART, ROOT, demo

OTHERS = [version for version in VERSIONS if version != sys.version_info[:2]]


@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", OTHERS, ids=lambda version: ".".join(map(str, version)))
def test_the_demo_succeeds(version: Version) -> None:
    programs = installed(version)
    if isinstance(programs, Uninstalled):
        pytest.skip("CPython {}.{}: {}".format(*version, programs.reason))
    shown = demo(programs)
    assert shown.returncode == 0, f"{shown.stdout}\n{shown.stderr}"


def test_the_part_of_the_tests_for_other_interpreters_is_there() -> None:
    assert [name for name in PART if not (ROOT / name).exists()] == []
