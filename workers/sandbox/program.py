"""Becomes the program of a command: a preforked child is forked in advance, and gets its request later."""

import fcntl
import os
import pickle
import signal
import socket
import termios
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NoReturn, TypeAlias

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.workers.sandbox import messages
from greenroom.workers.sandbox.messages import SandboxRequest, StartFailed
from greenroom.workers.sandbox.rules import enforcement, features
from greenroom.workers.sandbox.rules.enforcement import RuleCache
from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.descriptors import close_all_but

_Obstacle: TypeAlias = Literal["sandbox", "directory", "program"]

DESCRIPTORS: Final = 4
"""Descriptors that a preforked child receives: the request, and the three streams."""

_ANSWER: Final = 3
"""The descriptor for the report that a program cannot be run. An exec closes it."""
_RULES: Final = 4
"""The descriptor of the rules that were made in advance, if any. An exec closes it too."""
_NOT_STARTED: Final = 127
_CHANGED_SIGNALS: Final = (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM)
"""Signals that Python, the zygote or the monitor handle or ignore; the zygote has reset all others."""


@dataclass(frozen=True, slots=True)
class PreforkedChild:
    """A child of this process that waits to become a program."""

    pid: int
    _answer: socket.socket
    listeners: list[int] = field(default_factory=list)
    """Over which the program's connections are handed over, where it may make any; its receiver closes it."""

    @classmethod
    def fork(cls, orders: socket.socket, rules: RuleCache | None) -> "PreforkedChild":
        """Fork a preforked child. Its request arrives over `orders`, which it takes over; `rules` may fit it."""
        own_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            own_end.close()
            _wait_and_become(orders, rules, child_end, parent)
        orders.close()
        child_end.close()
        return cls(pid, own_end)

    def failure(self) -> StartFailed | None:
        """Wait until it runs the program; return the error if it cannot."""
        with self._answer:
            failure, listeners, _, _ = socket.recv_fds(self._answer, messages.LONGEST, 1)
            self.listeners.extend(listeners)
            if listeners:
                failure = self._answer.recv(messages.LONGEST)
        if not failure:
            return None
        failed = pickle.loads(failure)
        assert isinstance(failed, StartFailed)
        return failed


def _wait_and_become(orders: socket.socket, rules: RuleCache | None, answer: socket.socket, parent: int) -> NoReturn:
    try:
        close_all_but(orders.fileno(), answer.fileno(), *(() if rules is None else (rules.ruleset,)))
        _, descriptors, _, _ = socket.recv_fds(orders, 1, DESCRIPTORS)
        if len(descriptors) == DESCRIPTORS:
            request_file, stdin, stdout, stderr = descriptors
            request = messages.decode_request(messages.content(request_file))
            if not messages.claim(request_file):
                os._exit(_NOT_STARTED)
            rules = _arrange((stdin, stdout, stderr), answer.fileno(), rules)
            os.write(_ANSWER, pickle.dumps(_become(request, parent, rules)))
    finally:
        os._exit(_NOT_STARTED)


def _become(request: SandboxRequest, parent: int, rules: RuleCache | None) -> StartFailed:
    """Become the program. Returns only on failure."""
    obstacle: _Obstacle = "program"
    try:
        _reset_signals()
        os.setsid()
        if request.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if request.confinement is not None:
            obstacle = "sandbox"
            features.probe().require()
            enforcement.separate(request.confinement, features.probe())
        obstacle = "directory"
        os.chdir(request.cwd)
        if request.confinement is not None:
            obstacle = "sandbox"
            listener = enforcement.restrict(request.confinement, features.probe(), rules)
            if listener is not None:
                _hand_over(listener)
        obstacle = "program"
        _die_with(parent)
        os.execvpe(request.argv[0], request.argv, request.environment)
    except OSError as error:
        return StartFailed(obstacle, error.errno, error.strerror or str(error))
    except SandboxUnavailableError as error:
        return StartFailed(obstacle, None, str(error))
    except BaseException as error:
        return StartFailed(obstacle, None, f"{type(error).__name__}: {error}")


def _hand_over(listener: int) -> None:
    with socket.socket(fileno=os.dup(_ANSWER)) as answer:
        socket.send_fds(answer, [b"."], [listener])
    os.close(listener)


def _reset_signals() -> None:
    """Undo what Python and the monitor have set, so that the program starts like any other."""
    signal.set_wakeup_fd(-1)
    for number in _CHANGED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _arrange(streams: tuple[int, int, int], answer: int, rules: RuleCache | None) -> RuleCache | None:
    """Keep the three streams, and the descriptors for an answer and for the rules under their new numbers."""
    kept = [*streams, answer, *(() if rules is None else (rules.ruleset,))]
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, len(kept)) for descriptor in kept]
    for wanted, descriptor in enumerate(apart):
        os.dup2(descriptor, wanted, inheritable=wanted < _ANSWER)
    close_all_but(*range(_ANSWER, len(kept)))
    return None if rules is None else replace(rules, ruleset=_RULES)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, and exit if that has died already."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_NOT_STARTED)
