"""The check of git, which worktrees, diffs and searches use."""

from typing import Final

from greenroom.config.repository import RepositoryError, find_repository
from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.confined import run_confined
from greenroom.supervisor.cli.doctor.finding import Detail, Finding
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.sandbox.policy import Surroundings, own_program

INSTALL: Final = "Install git (2.30 or newer), or put its directory into PATH as an absolute path."


async def git(context: CheckContext) -> Finding:
    """Look git up as jobs do, and ask it for its version."""
    path = context.machine.which("git", context.search_path)
    details: dict[str, Detail] = {"working directory": await in_thread(lambda: _repository(context.cwd))}
    if path is None:
        text = "there is no git, so worktrees and the tools for differences do not work"
        return Finding("warning", text, details, INSTALL)
    details["program"] = path
    confinement = own_program(Surroundings("/", context.home, "/nonexistent"))
    try:
        finished = await run_confined(context, (path, "--version"), "/", confinement)
    except (GreenroomError, OSError) as error:
        details["version"] = f"not asked, because the sandbox does not work: {error}"
        return Finding("ok", f"git is at {path}", details)
    if finished.exit_code != 0:
        reason = finished.spawn_error or ("it takes too long" if finished.timed_out else "it fails")
        return Finding("warning", f"{path} does not work: {reason}", details, INSTALL)
    return Finding("ok", finished.stdout.render(OutputBudget(200)).strip(), details)


def _repository(directory: str) -> str:
    try:
        return f"in the repository {find_repository(directory).root}"
    except RepositoryError as error:
        return str(error)
