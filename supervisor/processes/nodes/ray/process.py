"""The host's end of `gr-ray`: starts it, starts it again when it ends, and never waits for it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.outpost import Begin, Finish, Seen, ToRay, Wanted, encode_datagram, read_from_ray
from greenroom.protocol.secrecy import is_secret_name
from greenroom.runtime.process import child, orphans
from greenroom.runtime.process.launch import CONTROL, DATAGRAM
from greenroom.runtime.process.spawn import OWN_VARIABLES, spawn
from greenroom.runtime.restart import Backoff, Delays
from greenroom.supervisor.processes.service_state import ServicePhase, ServiceStatus

log = logging.getLogger(__name__)

STATEMENT: Final = "from greenroom.supervisor.processes.nodes.ray.cluster_process import main; main()"
RESTART: Final = Delays((0.5, 2.0, 5.0, 15.0, 30.0), healthy_after=60.0)
HUNG: Final = 90.0
"""Seconds without a report after which it counts as hung: Ray's client tries for a minute to reach a head."""
FINISH: Final = 0.7
"""Seconds that it has at the end of the host to end the actors."""
VARIABLES: Final = "RAY_"
"""Prefixes of the variables that Ray reads, the token of the cluster among them: for this process and no other."""


class RayProcess:
    """Runs on the host's loop."""

    def __init__(
        self,
        begin: Begin,
        variables: Mapping[str, str],
        on_seen: Callable[[Seen], None],
        *,
        statement: str = STATEMENT,
        restart: Delays = RESTART,
        hung_s: float = HUNG,
    ) -> None:
        """`variables` is the host's environment. `on_seen` is called with each report. The process runs `statement`."""
        self._statement, self._hung_s = statement, hung_s
        self._begin = begin
        self._environment = {
            **{name: value for name, value in variables.items() if not is_secret_name(name)},
            **{name: value for name, value in variables.items() if name.startswith(VARIABLES)},
            **OWN_VARIABLES,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._on_seen = on_seen
        self._backoff = Backoff(restart)
        self._control: socket.socket | None = None
        self._wanted: Wanted | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._heard_at = 0.0
        self._is_connected = False
        self._restarts = -1
        self.pid: int | None = None
        self.error = ""
        """Why there is no connection to the cluster, as far as is known."""

    @property
    def status(self) -> ServiceStatus:
        """How it stands: it is ready where it has the cluster before it."""
        state: ServicePhase = "restarting" if self.pid is None else "ready" if self._is_connected else "starting"
        deaths = self._backoff.deaths_in_period(asyncio.get_running_loop().time())
        return ServiceStatus(state, self.pid, deaths, self._restarts)

    def start(self) -> None:
        """Start the process."""
        self._timer = None
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (near, far):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM)
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        with far:
            try:
                pid = spawn(self._statement, self._environment, {CONTROL: far.fileno()})
            except OSError as error:
                near.close()
                self.error = str(error)
                self._start_later()
                return
        orphans.keep(pid)
        self._restarts += 1
        self.pid, self._control, self._heard_at = pid, near, loop.time()
        child.watch(pid, self._ended)
        loop.add_reader(near, self._receive)
        self._send(self._begin)
        if self._wanted is not None:
            self._send(self._wanted)

    def want(self, wanted: Wanted) -> None:
        """Tell what there is to be, now and to each process that is started later."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._send(wanted)

    def look(self) -> None:
        """Kill the process if it hangs; its end is followed by another start."""
        now = asyncio.get_running_loop().time()
        if self.pid is not None and now - self._heard_at >= self._hung_s:
            self.error = f"nothing was heard of gr-ray for {self._hung_s:.0f} s"
            log.error("%s; killing it", self.error)
            self._heard_at = now
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process, and the actors that are not to go on. Blocks for a moment."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._control is not None and self.pid is not None:
            self._send(Finish())
            self._hang_up(keep_open=True)
            until = time.monotonic() + FINISH
            while time.monotonic() < until and not _has_ended(self.pid):
                time.sleep(0.01)
            self._control.close()
            self._control = None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _send(self, message: ToRay) -> None:
        if self._control is not None:
            try:
                self._control.send(encode_datagram(message))
            except BlockingIOError:  # it hangs, and reads nothing: what it is told next says everything
                log.debug("gr-ray reads nothing at the moment")
                self._wanted = None
            except OSError as error:  # it has ended, which is reported by itself
                log.debug("gr-ray cannot be told anything: %s", error)

    def _receive(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        try:
            seen = read_from_ray(data)
        except RemoteProtocolError as error:
            log.error("gr-ray: %s; dropped", error)
            return
        self._heard_at = asyncio.get_running_loop().time()
        if seen.error and seen.error != self.error:
            log.error("the Ray cluster at %s cannot be used: %s", self._begin.address, seen.error)
        self.error, self._is_connected = seen.error, seen.is_connected
        self._on_seen(seen)

    def _hang_up(self, *, keep_open: bool = False) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            if not keep_open:
                self._control.close()
                self._control = None

    def _ended(self, ending: child.ChildExit) -> None:
        orphans.let_go(ending.pid)
        self.pid, self._is_connected = None, False
        if self._is_closing:
            return
        self._hang_up()
        self.error = self.error or f"gr-ray ended with {ending.returncode}"
        self._on_seen(Seen(is_connected=False, error=self.error))
        self._start_later()

    def _start_later(self) -> None:
        loop = asyncio.get_running_loop()
        delay = self._backoff.on_death(loop.time())
        log.warning("gr-ray has ended (%s); starting it in %.1f s", self.error, delay)
        self._timer = loop.call_later(delay, self.start)


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it to be reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
