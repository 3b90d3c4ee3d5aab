"""The check of the kernel: what it offers for confining commands."""

import os

from greenroom.config.tables.sandbox import DangerFullAccessPolicy
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding
from greenroom.workers.sandbox.rules.features import NEEDED_ABI

NEWER: str = (
    "Use a newer kernel, or allow Landlock and user namespaces in the container or the boot options (`lsm=landlock,…`)."
)


async def features(context: CheckContext) -> Finding:
    """Tell which features of the kernel are there, and what their absence means for the sandbox."""
    settings = await context.shared(settings_of)
    found = await in_thread(context.machine.features)
    details: dict[str, Detail] = {
        "kernel": f"{os.uname().sysname} {os.uname().release}",
        "Landlock": f"version {found.landlock_abi}" if found.landlock_abi else "none",
        "seccomp": "yes" if found.seccomp else "no",
        "user and mount namespaces": found.namespaces_refused or "yes",
        "architecture": found.architecture,
    }
    missing = found.missing()
    if missing:
        unconfined = isinstance(settings.sandbox_policy, DangerFullAccessPolicy)
        text = f"commands cannot be confined: missing {', '.join(missing)}"
        remedy = f'{NEWER} Or choose `sandbox_mode = "danger-full-access"` where something else protects the machine.'
        return Finding("warning" if unconfined else "fail", text, details, remedy)
    limits = found.limits(writes=True)
    if limits:
        return Finding("warning", f"the sandbox protects less than it could: {'; '.join(limits)}", details, NEWER)
    return Finding("ok", f"Landlock {found.landlock_abi} (needed: {NEEDED_ABI}), seccomp, namespaces", details)
