"""The settings, and the sandbox by them, of what a client does outside all conversations."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace

from greenroom.config.home import home_name
from greenroom.config.paths import require_directory
from greenroom.config.secrets.other_homes import other_homes
from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.config.tables.sandbox import ConfinementPolicy
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import CommandStarter
from greenroom.workers.job_context import Setting
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.policy import Surroundings, confine
from greenroom.workers.sandbox.ray_token import ray_directory
from greenroom.workers.sandbox.starter import FreeStarter, LaunchedStarter


def client_settings(
    setting: Setting,
    cwd: str | None,
    sandbox_policy: dict[str, object] | None,
) -> Settings:
    """Return the settings that count in a directory, with the sandbox that a client has named, if it has.

    Raises `ConfigError`.
    """
    settings = resolve_settings(
        setting.home, setting.config_overrides, ConversationOverrides(cwd=cwd), os.getcwd(), os.environ
    )
    require_directory(settings.cwd, "cwd")
    if sandbox_policy is None:
        return settings
    policy: ConfinementPolicy = msgspec.convert(sandbox_policy, ConfinementPolicy)
    return replace(settings, sandbox_policy=policy)


def client_confinement(settings: Settings, setting: Setting, tmpdir: str) -> Confinement | None:
    """Return the confinement under these settings; `None` where everything may be accessed.

    `tmpdir` is the variable `TMPDIR` as the command sees it.
    """
    surroundings = Surroundings(
        cwd=settings.cwd,
        codex_home=setting.home,
        runtime_directory=setting.runtime_directory,
        tmpdir=tmpdir,
        home_name=home_name(os.environ),
        sockets=settings.unix_sockets,
        ray_directory=ray_directory(),
        other_homes=other_homes(setting.home, os.environ),
    )
    return confine(settings.sandbox_policy, surroundings)


@asynccontextmanager
async def client_starter(confinement: Confinement | None) -> AsyncIterator[CommandStarter]:
    """Start commands under a confinement, or without one. At the end of the block all of them are killed."""
    attached: list[Launcher] = []

    def launcher() -> Launcher:
        if not attached:
            attached.append(Launcher.attach())
        return attached[0]

    groups = ProcessGroups()
    try:
        if confinement is None:
            yield FreeStarter(groups, launcher)
        else:
            yield LaunchedStarter(launcher, confinement.resolved())
    finally:
        groups.kill_all()
        for one in attached:
            one.kill_all()
            await one.close()
