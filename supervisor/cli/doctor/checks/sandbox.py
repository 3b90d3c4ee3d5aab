"""Checks of the sandbox, by what a confined program really can and cannot do."""

from collections.abc import Mapping
from typing import Final

from greenroom.config.tables.sandbox import DangerFullAccessPolicy
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding
from greenroom.supervisor.cli.doctor.sandbox_trial import Attempt, try_sandbox

WANTED: Final[Mapping[Attempt, bool]] = {
    "write_inside": True,
    "write_outside": False,
    "write_read_only": False,
    "network": False,
    "credentials": False,
}
"""What a confined command must be able to do, and what not."""
WORDS: Final[Mapping[Attempt, str]] = {
    "write_inside": "write into its workspace",
    "write_outside": "write outside its workspace",
    "write_read_only": "write although it is read-only",
    "network": "connect to a TCP port",
    "credentials": "open the files with credentials",
}


async def helpers(context: CheckContext) -> Finding:
    """Tell whether a confined program can be started at all."""
    trial, unconfined = await context.shared(try_sandbox), await _is_unconfined(context)
    details: dict[str, Detail] = {"commands are": "not confined, as configured" if unconfined else "confined"}
    if not trial.fault:
        return Finding("ok", "confined commands can be started", details)
    remedy = "See the checks kernel.features, limits.processes and limits.memory; until then no command can run."
    return Finding("warning" if unconfined else "fail", f"no confined command can run: {trial.fault}", details, remedy)


async def rights(context: CheckContext) -> Finding:
    """Compare what a confined program could do with what it must be able to do, and must not."""
    trial, unconfined = await context.shared(try_sandbox), await _is_unconfined(context)
    if trial.fault:
        return Finding(
            "warning", "not tried, because no confined command can run", {}, "See the check sandbox.helpers."
        )
    details: dict[str, Detail] = {WORDS[name]: "yes" if done else "no" for name, done in trial.succeeded.items()}
    if trial.opened:
        details["opened"] = list(trial.opened)
    wrong = [name for name, done in trial.succeeded.items() if done != WANTED[name]]
    if wrong:
        text = ", and ".join(f"{'cannot' if WANTED[name] else 'can'} {WORDS[name]}" for name in wrong)
        return Finding("fail", f"a confined command {text}", details, _remedy(wrong))
    if unconfined:
        remedy = 'Set `sandbox_mode = "workspace-write"`, unless something else protects the machine.'
        return Finding("warning", "the sandbox works, and `danger-full-access` switches it off", details, remedy)
    return Finding("ok", "a confined command can write into its workspace, and do nothing else", details)


def _remedy(wrong: list[Attempt]) -> str:
    if wrong == ["write_inside"]:
        return "Check that the directory of temporary files is writable and not mounted in an unusual way."
    return "Do not let the agent run commands here until this is understood. It is a defect: please report it."


async def _is_unconfined(context: CheckContext) -> bool:
    settings = await context.shared(settings_of)
    return isinstance(settings.sandbox_policy, DangerFullAccessPolicy)
