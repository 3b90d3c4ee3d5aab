"""Makes the connections of confined commands in their place, and refuses those to Unix sockets of other programs.

The filter of system calls lets a command with network have Unix sockets of streams and packets, and hands each of its
connect(2) over to its monitor (seccomp_unotify(2)). What the caller points at can change while one looks, so nothing
of the call is ever let go on: the monitor copies the address, takes the caller's socket, and connects that itself.

A file is connected to where a process of the command, or of one that runs beside it under the same rules, holds the
socket that listens on it, or where a setting names it.
Which file that is has been settled by then: the place is open, and no other socket can ever be bound to it.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.syscalls import COMMON
from greenroom.workers.sandbox.system.unix_listeners import is_held, listener_on

_RECEIVE: Final = 0xC0502100
_ANSWER: Final = 0xC0182101
_IS_VALID: Final = 0x40082102
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_FAMILY: Final = struct.Struct("=H")
_LONGEST_ADDRESS: Final = 128
_SO_DOMAIN: Final = 39
_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EALREADY})
_RETRY_SECONDS: Final = 0.01
"""How often a full queue of a Unix socket is looked at again, for which there is no event."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A connection that a blocking caller waits for."""

    number: int
    endpoint: socket.socket
    address: bytes
    place: int | None = None
    """The open file of a Unix socket, whose full queue does not tell when there is room; `None` on the network."""

    def look(self, *, is_ready: bool) -> int:
        """Return the error of the call, 0 for none, `EAGAIN` where it is not decided yet."""
        if self.place is None and not is_ready:
            return errno.EAGAIN
        outcome = _connect_now(self.endpoint, self.address)  # which also takes the outcome of the attempt before
        return errno.EAGAIN if outcome in _UNDER_WAY else outcome

    def close(self) -> None:
        """Give it up, or leave it to its owner."""
        self.endpoint.close()
        if self.place is not None:
            os.close(self.place)


class Connections:
    """The connections of one command. `listener` is the descriptor that its filter gave; it is closed in the end."""

    def __init__(self, listener: int, own: Callable[[], set[int]], named: Collection[str]) -> None:
        """`own` returns the processes of the command, and of those whose sockets it shares.

        `named` are sockets of others that it may connect to.
        """
        self.listener = listener
        self._own = own
        self._named = named
        self._waiting: list[_Waiting] = []

    def register(self, poll: select.poll) -> float | None:
        """Have a poll wait for what concerns us, and return for how many milliseconds at most."""
        poll.register(self.listener, select.POLLIN)
        for waiting in self._waiting:
            if waiting.place is None:
                poll.register(waiting.endpoint, select.POLLOUT)
        return _RETRY_SECONDS * 1000 if any(waiting.place is not None for waiting in self._waiting) else None

    def serve(self, ready: dict[int, int], poll: select.poll) -> bool:
        """Do what has become due; `False` once the command can make no more connections."""
        self._look_after(ready, poll)
        event = ready.get(self.listener, 0)
        if event & select.POLLIN:
            self._take()
        return bool(event & select.POLLIN) or not event & (select.POLLHUP | select.POLLERR)

    def close(self, poll: select.poll) -> None:
        """Leave a poll that we were registered with: connections under way are given up."""
        with contextlib.suppress(KeyError):
            poll.unregister(self.listener)
        for waiting in self._waiting:
            with contextlib.suppress(KeyError):  # it has not been registered yet
                poll.unregister(waiting.endpoint)
            waiting.close()
        self._waiting.clear()
        os.close(self.listener)

    def _look_after(self, ready: dict[int, int], poll: select.poll) -> None:
        left: list[_Waiting] = []
        for waiting in self._waiting:
            is_wanted = self._is_valid(waiting.number)
            outcome = waiting.look(is_ready=waiting.endpoint.fileno() in ready) if is_wanted else errno.EINTR
            if outcome == errno.EAGAIN:
                left.append(waiting)
                continue
            with contextlib.suppress(KeyError):  # a full queue is not watched
                poll.unregister(waiting.endpoint)
            self._answer(waiting.number, outcome)
            waiting.close()
        self._waiting = left

    def _take(self) -> None:
        data = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, data)
        except OSError:  # the caller has died meanwhile
            return
        number, task, _, _, _, _, descriptor, address, length, *_ = _NOTIFICATION.unpack(data)
        try:
            outcome = self._connect(number, task, descriptor & 0xFFFFFFFF, address, length & 0xFFFFFFFF)
        except OSError as error:
            outcome = error.errno or errno.EPERM
        if outcome is not None:
            self._answer(number, outcome)

    def _connect(self, number: int, task: int, descriptor: int, address: int, length: int) -> int | None:
        """Return the error of the call, 0 for none, `None` where it is not decided yet. Raises `OSError`."""
        if length > _LONGEST_ADDRESS:
            return errno.EINVAL
        with contextlib.ExitStack() as opened:
            target = _memory(task, address, length)
            process = os.pidfd_open(_process_of(task))
            opened.callback(os.close, process)
            if not self._is_valid(number):  # the task whose number that was is gone
                return errno.EINTR
            taken = kernel.syscall("pidfd_getfd", COMMON["pidfd_getfd"], process, descriptor, 0)
            try:
                endpoint = socket.socket(fileno=taken)
            except OSError:
                os.close(taken)
                raise
            opened.callback(endpoint.close)
            domain = endpoint.getsockopt(socket.SOL_SOCKET, _SO_DOMAIN)
            if domain == socket.AF_UNIX:
                place = self._admitted(task, target)
                opened.callback(os.close, place)
                return self._begin(number, endpoint, _address_of(place), place)
            if domain not in _INTERNET:
                return errno.EPERM
            return self._begin(number, endpoint, target, None)

    def _begin(self, number: int, endpoint: socket.socket, address: bytes, place: int | None) -> int | None:
        outcome = _connect_now(endpoint, address)
        is_undecided = outcome in _UNDER_WAY if place is None else outcome == errno.EAGAIN
        if not is_undecided or not _blocks(endpoint):
            return outcome
        held = None if place is None else os.dup(place)
        self._waiting.append(_Waiting(number, endpoint.dup(), address if held is None else _address_of(held), held))
        return None

    def _admitted(self, task: int, target: bytes) -> int:
        """Return the open place that a Unix address names, if it may be connected to. Raises `OSError`."""
        if len(target) <= _FAMILY.size:
            raise OSError(errno.EINVAL, "no address")
        (family,) = _FAMILY.unpack_from(target)
        path = target[_FAMILY.size :].split(b"\0", 1)[0]
        if family != socket.AF_UNIX or not path:  # an abstract name can change hands between a look and a connect
            raise OSError(errno.EPERM, "not an address of a file")
        place = _open_as(task, path)
        try:
            status = os.fstat(place)
            if not (self._is_named(status) or self._is_own(status)):
                raise OSError(errno.EPERM, "the socket of another program")
        except BaseException:
            os.close(place)
            raise
        return place

    def _is_named(self, place: os.stat_result) -> bool:
        for path in self._named:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(path), place):
                    return True
        return False

    def _is_own(self, place: os.stat_result) -> bool:
        listener = listener_on(place)
        return listener is not None and is_held(listener, self._own())

    def _is_valid(self, number: int) -> bool:
        try:
            fcntl.ioctl(self.listener, _IS_VALID, number.to_bytes(8, "little"))
        except OSError:
            return False
        return True

    def _answer(self, number: int, error: int) -> None:
        with contextlib.suppress(OSError):  # the caller is gone
            fcntl.ioctl(self.listener, _ANSWER, _RESPONSE.pack(number, 0, -error, 0))


def _address_of(place: int) -> bytes:
    return _FAMILY.pack(socket.AF_UNIX) + f"/proc/self/fd/{place}".encode() + b"\0"


def _blocks(endpoint: socket.socket) -> bool:
    """Say whether its owner waits for what it does."""
    return not fcntl.fcntl(endpoint, fcntl.F_GETFL) & os.O_NONBLOCK


def _connect_now(endpoint: socket.socket, address: bytes) -> int:
    """Connect without waiting, and return the error, 0 for none."""
    flags = fcntl.fcntl(endpoint, fcntl.F_GETFL)
    fcntl.fcntl(endpoint, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        result = _libc.connect(endpoint.fileno(), address, len(address))
        return ctypes.get_errno() if result < 0 else 0
    finally:
        fcntl.fcntl(endpoint, fcntl.F_SETFL, flags)


def _memory(task: int, address: int, length: int) -> bytes:
    try:
        with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
            data = os.pread(memory.fileno(), length, address) if address < 1 << 63 else b""
    except OSError as error:
        raise OSError(errno.EFAULT if error.errno == errno.EIO else errno.EPERM, "the address") from error
    if len(data) < length:
        raise OSError(errno.EFAULT, "the address")
    return data


def _process_of(task: int) -> int:
    with open(f"/proc/{task}/status", "rb") as status:
        for line in status:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    raise OSError(errno.ESRCH, "the caller")


def _open_as(task: int, path: bytes) -> int:
    """Open a place as a task names it. It may lead anywhere: what counts is which process owns the socket there."""
    start = f"/proc/{task}/root" if path.startswith(b"/") else f"/proc/{task}/cwd"
    directory = os.open(start, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.open(path.lstrip(b"/") or b".", os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)


_libc: Final = ctypes.CDLL(None, use_errno=True)
