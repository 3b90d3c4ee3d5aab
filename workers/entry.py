"""The public interface of the package: runs a worker."""

import asyncio
import logging
import sys
from collections.abc import Iterator

from greenroom.config import settings
from greenroom.config.texts import patch_language
from greenroom.protocol import message
from greenroom.protocol.internal.broker.answers import Welcome
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.operations import Close, Open, StartTurn
from greenroom.runtime.http import tls_context
from greenroom.runtime.log import log, logfile
from greenroom.runtime.process import hardening
from greenroom.workers.actor import Actor

# The fork server imports this module, so that all workers share what is loaded here.
settings.preload()
message.prepare_decoders(Open, StartTurn, Close, Welcome)


def complete(directory: str) -> Iterator[None]:
    """Import and warm up what a conversation needs later, for the children that are forked from now on.

    It yields between parts of some milliseconds, and children may be forked there too. `directory` belongs to the
    instance.
    """
    import greenroom.workers.tools.toolbox_factory  # noqa: F401

    yield
    from greenroom.workers import warmup
    from greenroom.workers.exec import script

    script.preload_grammar()
    yield
    patch_language()
    tls_context()
    yield
    try:
        yield from warmup.run_warmup(directory)
    except Exception as error:  # workers are then slower at first
        logging.getLogger(__name__).warning("no warm-up: %s: %s", type(error).__name__, error)


def share_zygote() -> int:
    """Start a new zygote for all workers that are forked from now on, and return its pid, a child of this process.

    The previous one is released; its commands continue. Raises `OSError`.
    """
    from greenroom.workers.sandbox import zygote_link

    return zygote_link.start_shared_zygote()


def discard() -> None:
    """Release what `complete` has created, in a child that is not a worker: the zygote exits with the last worker."""
    if "greenroom.workers.sandbox.zygote_link" in sys.modules:
        from greenroom.workers.sandbox import zygote_link

        zygote_link.leave_zygote()


def main(spec: WorkerSpec, lifeline: int) -> None:
    """Host one conversation until told to exit. `lifeline` is a descriptor that reaches end of file when the supervisor
    dies."""
    hardening.set_name("gr-worker")
    hardening.adopt_orphans()
    log.set_up(f"worker {spec.id[-12:]}", spec.log_level)
    logfile.open_log(spec.codex_home, "worker", instance=spec.supervisor_pid, worker_id=spec.id)

    async def live() -> None:
        await Actor(spec, lifeline).live()

    asyncio.run(live())
