"""Starts the program of a command: the steps between fork and exec."""

import fcntl
import os
import pickle
import signal
import termios
from typing import Final, Literal, NoReturn, TypeAlias

from workers.sandbox import enforcement, features, kernel
from workers.sandbox.words import Failed, Request

_Obstacle: TypeAlias = Literal["sandbox", "directory", "program"]

_ERROR_PIPE: Final = 3
_NOT_STARTED: Final = 127


def begin(request: Request, streams: tuple[int, int, int]) -> int | Failed:
    """Fork, confine, and run the program. Returns its pid, or why it does not run."""
    guardian = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(request, streams, writer, guardian)
    os.close(writer)
    with open(reader, "rb") as answer:
        failure = answer.read()
    if not failure:
        return pid
    os.waitpid(pid, 0)
    failed = pickle.loads(failure)
    assert isinstance(failed, Failed)
    return failed


def _become(request: Request, streams: tuple[int, int, int], error_pipe: int, guardian: int) -> NoReturn:
    obstacle: _Obstacle = "program"
    try:
        _reset_signals()
        os.setsid()
        error_pipe = _arrange(streams, error_pipe)
        if request.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if request.confinement is not None:
            obstacle = "sandbox"
            enforcement.separate(request.confinement, features.probe())
        obstacle = "directory"
        os.chdir(request.cwd)
        if request.confinement is not None:
            obstacle = "sandbox"
            enforcement.restrict(request.confinement, features.probe())
        obstacle = "program"
        _die_with(guardian)
        os.execvpe(request.argv[0], request.argv, request.environment)
    except OSError as error:
        failed = Failed(obstacle, error.errno, error.strerror or str(error))
    except BaseException as error:
        failed = Failed(obstacle, None, f"{type(error).__name__}: {error}")
    os.write(error_pipe, pickle.dumps(failed))
    os._exit(_NOT_STARTED)


def _reset_signals() -> None:
    """Undo what Python and the guardian have set, so that the program starts like any other."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _arrange(streams: tuple[int, int, int], error_pipe: int) -> int:
    """Leave open the three streams and the pipe for errors, which closes at the exec; return its new number."""
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ERROR_PIPE + 1) for descriptor in (*streams, error_pipe)]
    for wanted, descriptor in enumerate(apart):
        os.dup2(descriptor, wanted, inheritable=wanted != _ERROR_PIPE)
    os.closerange(_ERROR_PIPE + 1, os.sysconf("SC_OPEN_MAX"))
    return _ERROR_PIPE


def _die_with(guardian: int) -> None:
    """Be killed when the guardian dies, also where it has died already."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(_NOT_STARTED)
