"""What the model is told before the user speaks: what it may do, what the project's files say, where it works."""

import os
import time
from datetime import datetime

from greenroom.config.settings import Settings
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation import prompt
from greenroom.workers.conversation.project_doc import ProjectDoc
from greenroom.workers.exec.user_shell import user_shell


def context_items(settings: Settings, document: ProjectDoc) -> list[JsonObject]:
    """Return the messages that open a conversation: one of the role `developer`, then one of the role `user`."""
    policy = settings.sandbox_policy
    permissions = prompt.Permissions(
        approval_policy=settings.approval_policy,
        sandbox_mode=policy.type,
        network_access=network_access(settings),
        writable_roots=(settings.cwd, *policy.writable_roots) if policy.type == "workspace-write" else (),
    )
    environment = prompt.EnvironmentContext(
        cwd=settings.cwd,
        shell=user_shell(os.environ),
        current_date=datetime.now().astimezone().strftime("%Y-%m-%d"),
        timezone=_timezone(),
        approval_policy=settings.approval_policy,
        sandbox_mode=policy.type,
        network_access=network_access(settings),
    )
    guidance = None if document.text is None else prompt.user_instructions_text(document.text, settings.cwd)
    messages = (
        prompt.message("developer", settings.developer_instructions, prompt.permissions_text(permissions)),
        prompt.message("user", guidance, prompt.environment_text(environment)),
    )
    return [message for message in messages if message is not None]


def network_access(settings: Settings) -> bool:
    """Tell whether commands may use the network."""
    policy = settings.sandbox_policy
    return policy.type == "danger-full-access" or (policy.type == "workspace-write" and policy.network_access)


def _timezone() -> str:
    """Return the IANA name of the local time zone, or its abbreviation where nothing tells the name."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if "/" in named:
        return named
    _, marker, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return name if marker else time.tzname[0]
