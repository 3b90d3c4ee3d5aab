"""A request is carried out or withdrawn, and never both."""

import os
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.workers.sandbox import messages as words
from greenroom.workers.sandbox.messages import SandboxRequest


def memory_file(request: SandboxRequest) -> tuple[int, int]:
    """Return a file in memory that holds a request, and the length of that."""
    content = words.encode(request)
    file = os.memfd_create("request", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(file, content)
    return file, len(content)


requests = st.builds(
    SandboxRequest,
    argv=st.lists(st.text(), min_size=1, max_size=3).map(tuple),
    cwd=st.text(),
    environment=st.dictionaries(st.text(), st.text(), max_size=3),
    confinement=st.none(),
    terminal=st.booleans(),
)


@given(requests, st.booleans())
def test_the_first_of_claim_and_withdrawal_wins(request: SandboxRequest, claimed_first: bool) -> None:
    file, length = memory_file(request)
    try:
        if claimed_first:
            assert words.claim(file)
            assert not words.withdraw(file, length), "it has begun"
        else:
            assert words.withdraw(file, length)
            assert not words.claim(file)
        assert words.read_request(words.content(file)) == request, "the mark changes nothing of it"
    finally:
        os.close(file)


@settings(max_examples=1)
@given(requests)
def test_of_claim_and_withdrawal_at_once_exactly_one_succeeds(request: SandboxRequest) -> None:
    for _ in range(200):
        file, length = memory_file(request)
        together = threading.Barrier(2)
        outcomes: dict[str, bool] = {}

        def claim(file: int = file, together: threading.Barrier = together, told: dict[str, bool] = outcomes) -> None:
            together.wait()
            told["claimed"] = words.claim(file)

        thread = threading.Thread(target=claim)
        thread.start()
        together.wait()
        withdrawn = words.withdraw(file, length)
        thread.join()
        os.close(file)
        assert outcomes["claimed"] != withdrawn
