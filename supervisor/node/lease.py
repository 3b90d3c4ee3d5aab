"""The lease of a node: how long its workers may run without a word of the host. Free of I/O and clocks.

It counts from the sending of a beat and not from its answer, so that it is over before the host gives the node up,
however long either way took.
"""

from greenroom.protocol.internal.node import LEASE


class Lease:
    """Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._sent: dict[int, float] = {}
        self._number = 0
        self._renewed_at: float | None = None
        self.round_trip: float | None = None
        """Seconds from the last answered beat to its answer."""

    @property
    def is_held(self) -> bool:
        """Whether there is one: the host has let the node in, and it has not been over since."""
        return self._renewed_at is not None

    def begin(self, asked_at: float) -> None:
        """Begin with the host's answer to a `Join` that was sent at that time."""
        self._renewed_at = asked_at

    def beat(self, now: float) -> int:
        """Return the number of a beat that is sent now."""
        self._number += 1
        self._sent[self._number] = now
        return self._number

    def answered(self, number: int, now: float) -> None:
        """Renew the lease by the answer to a beat."""
        sent = self._sent.get(number)
        if sent is None:
            return
        self._sent = {other: at for other, at in self._sent.items() if other > number}
        self.round_trip = now - sent
        if self._renewed_at is not None:
            self._renewed_at = max(self._renewed_at, sent)

    def is_over(self, now: float) -> bool:
        """Tell whether workers have to end."""
        return self._renewed_at is not None and now - self._renewed_at >= LEASE

    def end(self) -> None:
        """Note that it is over. Beats that were sent before renew nothing."""
        self._renewed_at = None
        self._sent.clear()
