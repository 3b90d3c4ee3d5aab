"""The methods for stored conversations: resume, archive."""

import asyncio
import os
from collections.abc import Mapping

import msgspec

from greenroom.protocol import conversation_api as api
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.conversations.jobs.worktrees import WorktreeRelease
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.conversation_methods import Configured, ConversationMethods
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

SESSIONS = "sessions"


class SavedMethods:
    """The methods of one connection."""

    def __init__(
        self,
        home: str,
        conversations: Conversations,
        jobs: Jobs,
        talk: ConversationMethods,
        channel: ClientChannel,
        worktrees: WorktreeRelease,
    ) -> None:
        self._home = home
        self._conversations = conversations
        self._jobs = jobs
        self._talk = talk
        self._channel = channel
        self._worktrees = worktrees
        self.methods: Mapping[str, AnswerMethod] = {
            "resumeConversation": self._resume,
            "archiveConversation": self._archive,
        }

    async def _resume(self, request: Request) -> RequestAnswer:
        params = decode(request, api.ResumeConversation)
        path = os.path.abspath(params.path)
        failed = "error resuming conversation"
        try:
            read = await self._jobs.run(api.ReadSession(path))
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, f"{failed}: {error}") from None
        stored = msgspec.json.decode(read, type=api.StoredSession)
        overrides = (params.overrides or api.NewConversation()).overrides()
        conversation = self._conversations.take_up(ConversationId(stored.conversation_id), path, overrides)
        configured = await self._talk.bring_up(conversation, failed)
        result = msgspec.json.decode(configured, type=Configured).result()
        if stored.initial_messages:
            result["initialMessages"] = stored.initial_messages
            configured = configured[:-1] + b',"initial_messages":%b}' % encode(stored.initial_messages)
        self._channel.write(b'{"jsonrpc":"2.0","method":"codex/event","params":{"id":"","msg":%b}}\n' % configured)
        return RequestAnswer(encode(result))

    async def _archive(self, request: Request) -> RequestAnswer:
        params = decode(request, api.ArchiveConversation)
        if (fault := misplaced(self._home, params.rollout_path, params.id)) is not None:
            raise RefusedError(INVALID_REQUEST, f"rollout path `{params.rollout_path}` {fault}")
        await self._close(params.id)
        try:
            await self._jobs.run(params)
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, f"failed to archive conversation: {error}") from None
        await self._worktrees.release(params.id)
        return RequestAnswer()

    async def _close(self, conversation_id: ConversationId) -> None:
        conversation = self._conversations.find(conversation_id)
        if conversation is not None:
            gone = asyncio.Event()
            self._conversations.dismiss(conversation, gone.set)
            await gone.wait()
            self._talk.forget(conversation_id)


def misplaced(home: str, path: str, conversation_id: ConversationId) -> str | None:
    """Return what is wrong with the path of a conversation's file, judged by the names alone; `None` if nothing is."""
    sessions = os.path.join(home, SESSIONS)
    normal = os.path.normpath(path)
    if not os.path.isabs(normal) or os.path.commonpath((sessions, normal)) != sessions:
        return "must be in sessions directory"
    if normal == sessions or path.endswith(os.sep):
        return "missing file name"
    name = os.path.basename(normal).lower()
    if not (name.startswith("rollout-") and name.removesuffix(".zst").endswith(f"-{conversation_id}.jsonl")):
        return f"does not match conversation id {conversation_id}"
    return None
