"""The methods about the configuration and what it offers: read and write it, models, providers, profiles, skills."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from greenroom.protocol.app_server import settings as wire
from greenroom.protocol.app_server.notifications import SkillsChanged
from greenroom.protocol.app_server.skills import (
    SkillsConfigWriteParams,
    SkillsExtraRootsSetParams,
    SkillsListResponse,
)
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.internal.jobs import JobParams
from greenroom.protocol.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.settings import config_reading
from greenroom.supervisor.frontend.app_server.settings.permission_profiles import PROFILES
from greenroom.supervisor.frontend.app_server.settings.skills import list_skills
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

T = TypeVar("T")
MOST_SKILL_ROOTS: Final = 50


class SettingsMethods:
    """These methods on one connection."""

    def __init__(self, home: str, cli_overrides: Sequence[str], jobs: Jobs, channel: AppServerChannel) -> None:
        self._home = home
        self._cli_overrides = cli_overrides
        self._jobs = jobs
        self._channel = channel
        self.methods: Mapping[str, AnswerMethod] = {
            "config/read": self._read,
            "config/value/write": self._write,
            "config/batchWrite": self._write_all,
            "configRequirements/read": self._requirements,
            "permissionProfile/list": self._profiles,
            "modelProvider/list": self._providers,
            "skills/list": self._skills,
            "skills/config/write": self._switch_skill,
            "skills/extraRoots/set": self._set_skill_roots,
            "hooks/list": self._hooks,
        }

    async def _read(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ConfigReadParams, b"{}")
        with_layers = params.include_layers
        read = await self._on_thread(
            lambda: config_reading.read_config(self._home, self._cli_overrides, with_layers=with_layers)
        )
        return RequestAnswer(encode(read))

    async def _write(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ConfigValueWriteParams)
        edit = wire.ConfigEdit(key_path=params.key_path, value=params.value, merge_strategy=params.merge_strategy)
        return await self._change(
            wire.ConfigBatchWriteParams(
                edits=[edit], expected_version=params.expected_version, file_path=params.file_path
            )
        )

    async def _write_all(self, request: Request) -> RequestAnswer:
        return await self._change(decode(request, wire.ConfigBatchWriteParams))

    async def _change(self, params: wire.ConfigBatchWriteParams) -> RequestAnswer:
        return await self._write_file(params)

    async def _write_file(self, params: JobParams) -> RequestAnswer:
        try:
            return RequestAnswer(await self._jobs.run(params))
        except JobFailedError as error:
            code, mark, text = str(error).partition(": ")
            data = {"config_write_error_code": code} if mark and code.startswith("config") else None
            raise RefusedError(INVALID_REQUEST, text if data else str(error), data) from None

    async def _requirements(self, _: Request) -> RequestAnswer:
        return RequestAnswer(encode(wire.ConfigRequirementsReadResponse(requirements=None)))

    async def _profiles(self, _: Request) -> RequestAnswer:
        return RequestAnswer(encode(wire.PermissionProfileListResponse(data=list(PROFILES))))

    async def _providers(self, _: Request) -> RequestAnswer:
        told = await self._on_thread(lambda: config_reading.list_providers(self._home, self._cli_overrides))
        return RequestAnswer(encode(told))

    async def _skills(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.SkillsListParams, b"{}")
        cwds = params.cwds or [self._channel.directory(None) or os.getcwd()]
        roots = self._channel.skill_roots
        data = await self._on_thread(lambda: [list_skills(self._home, self._cli_overrides, cwd, roots) for cwd in cwds])
        return RequestAnswer(encode(SkillsListResponse(data=data)))

    async def _switch_skill(self, request: Request) -> RequestAnswer:
        params = decode(request, SkillsConfigWriteParams)
        if bool(params.name) == bool(params.path) or (params.path and not os.path.isabs(params.path)):
            raise RefusedError(INVALID_PARAMS, f"{request.method} requires exactly one of name and an absolute path")
        return await self._write_file(params)

    async def _set_skill_roots(self, request: Request) -> RequestAnswer:
        roots = decode(request, SkillsExtraRootsSetParams).extra_roots
        if not all(os.path.isabs(root) and "\0" not in root for root in roots) or len(roots) > MOST_SKILL_ROOTS:
            raise RefusedError(INVALID_PARAMS, f"`extraRoots` are at most {MOST_SKILL_ROOTS} absolute paths")
        self._channel.skill_roots = tuple(roots)
        return RequestAnswer(then=lambda: self._channel.tell(SkillsChanged()))

    async def _hooks(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.HooksListParams, b"{}")
        cwds = params.cwds or [self._channel.directory(None) or os.getcwd()]
        entries = [wire.HooksListEntry(cwd=cwd, hooks=[], errors=[], warnings=[]) for cwd in cwds]
        return RequestAnswer(encode(wire.HooksListResponse(data=entries)))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except ConfigError as error:
            raise RefusedError(INVALID_REQUEST, f"failed to load configuration: {error}") from None
