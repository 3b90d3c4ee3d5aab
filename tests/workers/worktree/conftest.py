"""Git runs in the sandbox in these tests, and is started by a process as small as that of a worker."""

from collections.abc import Iterator

import pytest

from tests.support.zygote import shared_zygote


@pytest.fixture(scope="module", autouse=True)
def _shared_zygote() -> Iterator[None]:
    with shared_zygote():
        yield
