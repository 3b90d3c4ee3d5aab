"""A request is carried out or withdrawn, and never both."""

import os
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.workers.sandbox import messages
from greenroom.workers.sandbox.messages import SandboxRequest


def memory_file(request: SandboxRequest) -> tuple[int, int]:
    """Return a file in memory that holds a request, and the length of that."""
    content = messages.encode_message(request)
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
            assert messages.claim(file)
            assert not messages.withdraw(file, length), "it has begun"
        else:
            assert messages.withdraw(file, length)
            assert not messages.claim(file)
        assert messages.decode_request(messages.content(file)) == request, "the mark changes nothing of it"
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
            told["claimed"] = messages.claim(file)

        thread = threading.Thread(target=claim)
        thread.start()
        together.wait()
        withdrawn = messages.withdraw(file, length)
        thread.join()
        os.close(file)
        assert outcomes["claimed"] != withdrawn
