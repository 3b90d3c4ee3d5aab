"""Fetches what tests get from package indexes: `python -m tests.fetch`, beside the tests that need none of it.

What cannot be had is left to the tests that need it, which say why.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from benchmarks.interpreters import installed
from benchmarks.reference_program import NEWEST, ensure_reference
from tests.conformance.app_server import acp
from tests.conformance.exec import sdk
from tests.conformance.foreign import CODEX_SDK, NODE_PACKAGES, PYTHON_PACKAGES
from tests.conformance.packages import UnavailableError
from tests.packaging.test_distribution import SUPERVISOR
from tests.server.test_other_interpreters import OTHERS

PACKAGES: Final = (PYTHON_PACKAGES, NODE_PACKAGES, CODEX_SDK, acp.PACKAGES, sdk.NODE, sdk.PYTHON, SUPERVISOR)


def steps() -> list[Callable[[], object]]:
    """Return what there is to do, what is needed first in front."""
    return [
        lambda: ensure_reference(release=NEWEST),
        *(packages.installed for packages in PACKAGES),
        *(lambda version=version: installed(version) for version in OTHERS),
    ]


if __name__ == "__main__":
    for step in steps():
        with suppress(UnavailableError):
            step()
