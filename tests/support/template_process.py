"""The process of which servers are forked (`tests/support/template.py`). It needs nothing of the tests.

A server and its first fork server are forked from it instead of executed, and so are all processes of a server with the
engine `spawn`, or with a variable that asks for this (`Seed`); all others come into being as they always do. They have
the variables, the streams, the session and the parent that they should have, and nothing of the tests. This process has
also done what a fork server does in its first idle moment: it has imported the rest, run the conversations of
`greenroom.workers.warmup`, and made its objects immortal.

What `/proc` says of their beginning (command line, environment) is that of this process, but for the value of the
variable that marks all processes of a test. Memory that they share with it is not their own. Tests about that start the
program itself.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn

IMPORTED: Final = (
    "greenroom.supervisor.main",
    "greenroom.supervisor.cli.command_line",
    "greenroom.supervisor.startup.exec",
    "greenroom.supervisor.startup.http",
    "greenroom.supervisor.startup.serve",
    "greenroom.supervisor.startup.server",
    "greenroom.supervisor.startup.processes",
    "greenroom.supervisor.control.inspection",
    "greenroom.supervisor.frontend.app_server.services",
    "greenroom.supervisor.frontend.exec.turn",
    "greenroom.supervisor.frontend.mcp.services",
    "greenroom.supervisor.processes.engines.fork_server",
    "greenroom.broker.broker",
    "greenroom.workers.mcp.transport.http",
    "greenroom.workers.mcp.transport.stdio",
)
"""What the processes of a server import, each at its time."""
_ORDER: Final = 64
"""Bytes of a message that comes with an order; the order itself is in a file."""
_SEEDED: Final = "GREENROOM_TEST_SEED"
_SPARE: Final = 64
"""A descriptor beyond all that a server has when it starts its first process."""
_DEFAULT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
_SYS_CLONE3: Final = 435
_PR_GET_TID_ADDRESS: Final = 40
_CLONE_AS_SIBLING: Final = 0x00008000 | 0x00200000 | 0x01000000
"""CLONE_PARENT, and CLONE_CHILD_CLEARTID and CLONE_CHILD_SETTID as fork(2) has them."""


class Mark:
    """The value of a variable, where it is in the memory that /proc shows: forks inherit it with all the rest."""

    def __init__(self, name: str) -> None:
        """Find the variable among those with which this process was executed."""
        variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
        begin = f"{name}=".encode()
        self.name = name
        self._address, self._size = next(
            (variable + len(begin), len(text) - len(begin))
            for variable in itertools.takewhile(bool, map(variables.__getitem__, itertools.count()))
            if (text := ctypes.string_at(variable)).startswith(begin)
        )

    def set(self, value: str) -> None:
        """Write another value, which is as long."""
        assert len(value) == self._size
        ctypes.memmove(self._address, value.encode(), self._size)


def serve(orders: socket.socket, listener: socket.socket, mark: Mark) -> None:
    """Carry out the orders of the tests, and of programs that connect, until the tests end."""
    clients = {one.fileno(): one for one in (orders, listener)}
    poll = select.poll()
    for descriptor in clients:
        poll.register(descriptor, select.POLLIN)
    while orders.fileno() in clients:
        for descriptor, _ in poll.poll():
            client = clients[descriptor]
            if client is listener:
                newcomer = listener.accept()[0]
                clients[newcomer.fileno()] = newcomer
                poll.register(newcomer, select.POLLIN)
            elif not _obey(client, clients.values(), mark):
                poll.unregister(client)
                clients.pop(descriptor).close()


def _obey(client: socket.socket, clients: Iterable[socket.socket], mark: Mark) -> bool:
    """Carry out one order of a client; `False` when it has left."""
    message, descriptors, _, _ = socket.recv_fds(client, _ORDER, 4)
    if not message:
        return False
    file, *streams = descriptors
    with os.fdopen(file, "rb") as text:
        order = json.load(text)
    if "ended" in order:
        answer = os.waitpid(order["ended"], 0)[1]
    elif (answer := os.fork()) == 0:
        for one in clients:
            one.close()
        _become(order, streams, mark)
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
        client.send(str(answer).encode())
    return True


def _become(order: Mapping[str, object], streams: Sequence[int], mark: Mark) -> NoReturn:
    """Be the program, with the exit status that the interpreter would have."""
    status = 1
    try:
        _take(streams)
        environment, arguments, cwd = order["environment"], order["arguments"], order["cwd"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.chdir(str(cwd))
        has_seed = "spawn" in arguments or environment.pop(_SEEDED, None) is not None
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[1:] = arguments
        if mark.name in environment:
            mark.set(environment[mark.name])
        _be_another_process()
        _see_its_own_directory_alone()
        _let_processes_be_forked(Seed() if has_seed else None)
        if (statement := order["statement"]) is not None:
            _patch(str(statement))
        from greenroom.supervisor.main import main

        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _take(streams: Sequence[int]) -> None:
    """Have these streams, and objects of the interpreter that know of no others."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _be_another_process() -> None:
    """Make anew what modules note of their process, its time and its variables when they are imported or warmed up."""
    from greenroom.runtime import http
    from greenroom.supervisor.conversations.state import open_question
    from greenroom.supervisor.frontend import server_run

    importlib.reload(server_run)
    vars(open_question)["_serials"] = itertools.count(time.time_ns())
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"}.isdisjoint(os.environ):
        http.tls_context.cache_clear()


def _see_its_own_directory_alone() -> None:
    """Find instances only where this program would be: those that the user runs elsewhere are none of a test."""
    from greenroom.runtime.files import directory
    from greenroom.supervisor.control import instances

    vars(instances)["parents"] = lambda environment: (directory.place(environment),)


def _patch(statement: str) -> None:
    """Run a statement that changes modules: those that have imported by name what it replaces have the new, too."""
    modules = [vars(module) for name, module in sys.modules.items() if name.startswith("greenroom.")]
    former = [dict(names) for names in modules]
    exec(statement, {"__name__": "__main__"})
    replaced = {
        (name, id(value)): names[name]
        for names, before in zip(modules, former, strict=True)
        for name, value in before.items()
        if names[name] is not value
    }
    for names in modules:
        for name, value in list(names.items()):
            if (name, id(value)) in replaced:
                names[name] = replaced[name, id(value)]


def _let_processes_be_forked(seed: "Seed | None") -> None:
    """Replace what starts processes: for all of them where there is a seed, otherwise until it has started the first
    one: later this process is no longer as new."""
    from greenroom.runtime.process import launch
    from greenroom.runtime.process.spawn import spawn as executed

    def forked(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
        vars(launch)["spawn"] = executed
        if statement != launch.FORK_SERVER:
            return executed(statement, environment, inherited)
        # An exception of a handler that runs within the fork would be lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if (pid := os.fork()) == 0:
            _forget_handlers()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _be_started(statement, environment, inherited)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def grown(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
        assert seed is not None
        return seed.start(statement, environment, inherited) or executed(statement, environment, inherited)

    vars(launch)["spawn"] = grown if seed else forked


class Seed:
    """A child of a server that is as new as the server was, and that clones itself into further children of the server.

    To the server it is an orphan that it has to keep: it ends with the server, or is killed with the rest.
    """

    def __init__(self) -> None:
        """Raises `OSError`."""
        from greenroom.runtime.process import orphans

        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            self._orders.close()
            _be(lambda: self._grow(theirs))
        theirs.close()
        orphans.keep(pid)

    def start(self, statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
        """Do what `greenroom.runtime.process.spawn` does, and return the pid; 0 where that is not possible."""
        with os.fdopen(os.memfd_create("order"), "r+b") as file:
            file.write(json.dumps([statement, dict(environment), list(inherited)]).encode())
            file.seek(0)
            try:
                socket.send_fds(self._orders, [b"order"], [file.fileno(), *inherited.values()])
                return int(self._orders.recv(_ORDER) or 0)
            except ConnectionError:  # it was killed
                return 0

    def _grow(self, orders: socket.socket) -> None:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        while True:
            message, descriptors, _, _ = socket.recv_fds(orders, _ORDER, 8)
            if not message:
                return
            file, *sources = descriptors
            with os.fdopen(file, "rb") as text:
                statement, environment, numbers = json.load(text)
            if (pid := _clone_as_sibling()) == 0:
                orders.close()
                _be_started(statement, environment, dict(zip(numbers, sources, strict=True)))
            for source in sources:
                os.close(source)
            orders.send(str(pid).encode())


def _clone_as_sibling() -> int:
    """Fork, as a further child of this process's parent (clone3(2)). Return -1 for the parent where that is refused."""
    library, interpreter = ctypes.PyDLL(None), ctypes.pythonapi
    tid = ctypes.c_void_p()
    library.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(tid), 0, 0, 0)
    arguments = (ctypes.c_uint64 * 8)(_CLONE_AS_SIBLING, 0, tid.value or 0)
    interpreter.PyOS_BeforeFork()
    pid: int = library.syscall(_SYS_CLONE3, arguments, ctypes.sizeof(arguments))
    if pid == 0:
        interpreter.PyOS_AfterFork_Child()
    else:
        interpreter.PyOS_AfterFork_Parent()
    return pid


def _be_started(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> NoReturn:
    """Be what `greenroom.runtime.process.spawn` would have started."""

    def become() -> None:
        os.setsid()
        kept = {number: fcntl.fcntl(source, fcntl.F_DUPFD, _SPARE) for number, source in inherited.items()}
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        for number, spare in kept.items():
            os.dup2(spare, number)
        os.closerange(1 + max(inherited), 2 * _SPARE)
        os.environ.clear()
        os.environ.update(environment)
        exec(statement, {"__name__": "__main__"})

    _be(become)


def _be(program: Callable[[], None]) -> NoReturn:
    """Run a program in this process, which ends with it."""
    status = 1
    try:
        program()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _forget_handlers() -> None:
    """Let signals do what they do in a program that was just executed (execve(2)): what is ignored stays so."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _warm_up() -> None:
    """Do what a fork server does before most of its children, so that those that are forked from here need not."""
    from greenroom.runtime.process import immortal
    from greenroom.workers import entry, warmup

    with tempfile.TemporaryDirectory() as directory:
        for _ in entry.complete(directory):
            pass
    vars(warmup)["run_warmup"] = lambda _: iter(())
    gc.collect()
    immortalizer = immortal.Immortalizer()
    while immortalizer.has_work:
        immortalizer.work(1.0)
    vars(immortal)["_all_objects"] = list
    gc.freeze()


def _main(name: str, orders: str, listener: str) -> None:
    mark = Mark(name)
    for number in _DEFAULT:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    for module in IMPORTED:
        __import__(module)
    _warm_up()
    serve(socket.socket(fileno=int(orders)), socket.socket(fileno=int(listener)), mark)


if __name__ == "__main__":
    _main(*sys.argv[1:])
