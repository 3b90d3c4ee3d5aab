"""The methods about the configuration and what it offers: read and write it, models, providers, profiles, skills."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from greenroom.protocol.app_server import settings as wire
from greenroom.protocol.app_server.skills import SkillsListResponse
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server import config_reading
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.permission_profiles import PROFILES
from greenroom.supervisor.frontend.app_server.skills import list_skills
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import Answer, Method

T = TypeVar("T")


class SettingsMethods:
    """These methods on one connection."""

    def __init__(self, home: str, cli_overrides: Sequence[str], jobs: Jobs, channel: AppServerChannel) -> None:
        self._home = home
        self._cli_overrides = cli_overrides
        self._jobs = jobs
        self._channel = channel
        self.methods: Mapping[str, Method] = {
            "config/read": self._read,
            "config/value/write": self._write,
            "config/batchWrite": self._write_all,
            "configRequirements/read": self._requirements,
            "permissionProfile/list": self._profiles,
            "modelProvider/list": self._providers,
            "skills/list": self._skills,
            "hooks/list": self._hooks,
        }

    async def _read(self, request: Request) -> Answer:
        params = decode(request, wire.ConfigReadParams, b"{}")
        with_layers = params.include_layers
        read = await self._on_thread(
            lambda: config_reading.read_config(self._home, self._cli_overrides, with_layers=with_layers)
        )
        return Answer(encode(read))

    async def _write(self, request: Request) -> Answer:
        params = decode(request, wire.ConfigValueWriteParams)
        edit = wire.ConfigEdit(key_path=params.key_path, value=params.value, merge_strategy=params.merge_strategy)
        return await self._change(
            wire.ConfigBatchWriteParams(
                edits=[edit], expected_version=params.expected_version, file_path=params.file_path
            )
        )

    async def _write_all(self, request: Request) -> Answer:
        return await self._change(decode(request, wire.ConfigBatchWriteParams))

    async def _change(self, params: wire.ConfigBatchWriteParams) -> Answer:
        try:
            return Answer(await self._jobs.run(params))
        except JobFailedError as error:
            code, mark, text = str(error).partition(": ")
            data = {"config_write_error_code": code} if mark and code.startswith("config") else None
            raise RefusedError(INVALID_REQUEST, text if data else str(error), data) from None

    async def _requirements(self, _: Request) -> Answer:
        return Answer(encode(wire.ConfigRequirementsReadResponse(requirements=None)))

    async def _profiles(self, _: Request) -> Answer:
        return Answer(encode(wire.PermissionProfileListResponse(data=list(PROFILES))))

    async def _providers(self, _: Request) -> Answer:
        told = await self._on_thread(lambda: config_reading.list_providers(self._home, self._cli_overrides))
        return Answer(encode(told))

    async def _skills(self, request: Request) -> Answer:
        params = decode(request, wire.SkillsListParams, b"{}")
        cwds = params.cwds or [self._channel.directory(None) or os.getcwd()]
        data = await self._on_thread(lambda: [list_skills(self._home, self._cli_overrides, cwd) for cwd in cwds])
        return Answer(encode(SkillsListResponse(data=data)))

    async def _hooks(self, request: Request) -> Answer:
        params = decode(request, wire.HooksListParams, b"{}")
        cwds = params.cwds or [self._channel.directory(None) or os.getcwd()]
        entries = [wire.HooksListEntry(cwd=cwd, hooks=[], errors=[], warnings=[]) for cwd in cwds]
        return Answer(encode(wire.HooksListResponse(data=entries)))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except ConfigError as error:
            raise RefusedError(INVALID_REQUEST, f"failed to load configuration: {error}") from None
