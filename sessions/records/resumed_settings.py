"""The settings that a saved conversation goes on with: the caller's, and for the rest those of its session file."""

import msgspec

from greenroom.config.settings import ConversationOverrides
from greenroom.sessions.records.restored import Restored


def resumed_settings(overrides: ConversationOverrides, restored: Restored) -> ConversationOverrides:
    """Return the overrides, with the last settings of the file where the caller set none and wants them."""
    if overrides.reconfigured:
        return overrides
    context = restored.context or {}
    policy = context.get("sandbox_policy")
    began_with = restored.began_with
    last = {
        "cwd": restored.cwd,
        "model": restored.model,
        "approval_policy": context.get("approval_policy") or began_with.approval_policy,
        "sandbox_mode": policy.get("type") if isinstance(policy, dict) else began_with.sandbox_mode,
    }
    known = {name: value for name, value in last.items() if value is not None}
    missing = {name: value for name, value in known.items() if getattr(overrides, name) is None}
    return msgspec.structs.replace(overrides, **missing)
