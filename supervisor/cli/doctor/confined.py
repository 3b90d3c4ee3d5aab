"""Runs a program of a check in the sandbox, as conversations run commands."""

from collections.abc import Mapping, Sequence

from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.process import Finished, run_to_end
from greenroom.workers.sandbox.policy import Confinement
from greenroom.workers.sandbox.starter import LaunchedStarter


async def run_confined(
    context: CheckContext,
    argv: Sequence[str],
    cwd: str,
    confinement: Confinement,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program to its end; nothing of it is left. Raises `SandboxUnavailableError` and `OSError`."""
    launcher = context.machine.launcher()
    command = CommandSpec(
        tuple(argv),
        cwd,
        {"PATH": context.search_path, "LC_ALL": "C", **(environment or {})},
        timeout=context.patience.sandbox,
    )
    try:
        return await run_to_end(command, lambda *_: None, LaunchedStarter(lambda: launcher, confinement))
    finally:
        launcher.kill_all()
        await launcher.close()
