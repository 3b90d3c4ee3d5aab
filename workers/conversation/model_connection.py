"""The connection of one conversation to its model, made when the first request needs it."""

from typing import Protocol

from greenroom.config.defaults import QUIET_WINDOW
from greenroom.config.settings import Settings
from greenroom.protocol.internal.worker.operations import Open
from greenroom.protocol.items import JsonObject
from greenroom.workers.model.access import model_client
from greenroom.workers.model.client import Model, ModelClient
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.model.transport.session import SessionFactory
from greenroom.workers.timings import TurnTimings


class ModelSource(Protocol):
    """The access of turns to a model (`ModelConnection`)."""

    async def client(self) -> Model:
        """Return what answers requests. Raises `StartError`."""
        ...

    def begin_turn(self) -> None:
        """Let the next request decide which account the turn belongs to."""


class ModelConnection:
    """Belongs to one conversation (`ModelSource`). `close` it."""

    def __init__(
        self,
        settings: Settings,
        operation: Open,
        credentials: ProviderCredentials,
        session_factory: SessionFactory,
        timings: TurnTimings,
    ) -> None:
        """`operation` opened the conversation."""
        self._settings = settings
        self._operation = operation
        self._credentials = credentials
        self._session_factory = session_factory
        self._timings = timings
        self._client: ModelClient | None = None
        self._delta_window = settings.delta_window

    async def client(self) -> ModelClient:
        """Return the client. Raises `StartError` where a model server of this machine is configured and not there."""
        if self._client is None:
            self._client = await model_client(
                self._settings,
                self._operation.conversation_id,
                self._operation.user_agent,
                self._credentials,
                self._session_factory,
                self._timings,
            )
            self._client.delta_window = self._delta_window
        return self._client

    def select_events(self, deltas: bool) -> None:
        """Gather deltas as the settings say, or for longer while they have no use."""
        self._delta_window = self._settings.delta_window if deltas else QUIET_WINDOW
        if self._client is not None:
            self._client.delta_window = self._delta_window

    def begin_turn(self) -> None:
        """Let the next request decide which account the turn belongs to."""
        self._credentials.begin_turn()

    @property
    def account_limits(self) -> JsonObject | None:
        """What the model's server has told last of the account's limits (`token_count`), if anything."""
        return None if self._client is None else self._client.account_limits

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
