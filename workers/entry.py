"""The public face of this package: live as a worker."""

import logging
import sys

from greenroom.config import settings
from greenroom.config.texts import patch_language
from greenroom.protocol.internal import message
from greenroom.protocol.internal.broker import Welcome
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker import Open, StartTurn
from greenroom.runtime import hardening, log, logfile, loop
from greenroom.runtime.http import tls_context
from greenroom.workers.actor import Actor

# Whoever forks workers has imported this, so that all of them share the result.
settings.preload()
message.prepare(Open, StartTurn, Welcome)


def complete(directory: str) -> int:
    """Make ready what a conversation needs only later, for the children that are still to be forked.

    `directory` belongs to the instance. Returns the pid of the process that starts the commands of all of them: a child
    of ours, to be kept.
    """
    import greenroom.workers.tools.toolbox_factory  # noqa: F401
    from greenroom.workers import warmup as rehearsal
    from greenroom.workers.approval import script

    script.preload_grammar()
    patch_language()
    tls_context()
    try:
        rehearsal.rehearse(directory)
    except Exception as error:  # workers then take their time at first
        logging.getLogger(__name__).warning("no rehearsal: %s: %s", type(error).__name__, error)
    return share_zygote()


def share_zygote() -> int:
    """Start what starts the commands of all workers that are forked from now on, and return its pid: a child of ours.

    The one before is given up; what it runs runs on. Raises `OSError`.
    """
    from greenroom.workers.sandbox import zygote_link

    return zygote_link.share_zygote()


def discard() -> None:
    """Give up what `complete` has made for workers, in a child that is none: it ends when the last of them has."""
    if "greenroom.workers.sandbox.zygote_link" in sys.modules:
        from greenroom.workers.sandbox import zygote_link

        zygote_link.leave_zygote()


def main(spec: WorkerSpec, lifeline: int) -> None:
    """Host one conversation until told to leave. `lifeline` is a descriptor that ends when the supervisor does."""
    hardening.set_name("gr-worker")
    hardening.adopt_orphans()
    log.set_up(f"worker {spec.id[-12:]}", spec.log_level)
    logfile.open_log(spec.codex_home, "worker", instance=spec.supervisor_pid, worker_id=spec.id)

    async def live() -> None:
        await Actor(spec, lifeline).live()

    loop.run(live())
