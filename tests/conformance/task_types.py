"""What the extension `io.modelcontextprotocol/tasks` says of its messages; the official types leave extensions out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from mcp_types.methods import parse_server_result
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, field_validator

VERSION: Final = "2026-07-28"
TASK_METHODS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
NOTIFICATION: Final = "notifications/tasks"


class Task(BaseModel):
    """What every task says. Members that the extension does not know are faults."""

    model_config = ConfigDict(extra="forbid", strict=True)

    meta: dict[str, Any] | None = Field(None, alias="_meta")
    task_id: str = Field(alias="taskId", min_length=1)
    created_at: Annotated[AwareDatetime, Field(alias="createdAt", strict=False)]
    last_updated_at: Annotated[AwareDatetime, Field(alias="lastUpdatedAt", strict=False)]
    ttl_ms: int | None = Field(alias="ttlMs", ge=0)
    poll_interval_ms: int | None = Field(None, alias="pollIntervalMs", gt=0)
    status_message: str | None = Field(None, alias="statusMessage")

    @field_validator("last_updated_at")
    @classmethod
    def _is_known(cls, value: datetime) -> datetime:
        assert value.year > 2000
        return value


class Working(Task):
    """A task whose turn runs."""

    status: Literal["working"]


class InputRequired(Task):
    """A task that waits for its user."""

    status: Literal["input_required"]
    input_requests: dict[str, Any] = Field(alias="inputRequests", min_length=1)

    @field_validator("input_requests")
    @classmethod
    def _are_requests(cls, value: dict[str, Any]) -> dict[str, Any]:
        parse_server_result("tools/call", VERSION, {"resultType": "input_required", "inputRequests": value})
        return value


class Completed(Task):
    """A task with a result."""

    status: Literal["completed"]
    result: dict[str, Any]

    @field_validator("result")
    @classmethod
    def _is_a_result(cls, value: dict[str, Any]) -> dict[str, Any]:
        parse_server_result("tools/call", VERSION, {"resultType": "complete", **value})
        return value


class Cancelled(Task):
    """A task that was stopped."""

    status: Literal["cancelled"]


DETAILED: Final[TypeAdapter[Any]] = TypeAdapter(
    Annotated[Working | InputRequired | Completed | Cancelled, Field(discriminator="status")]
)


class Handle(Task):
    """What a call returns that goes on as a task."""

    status: Literal["working", "input_required", "completed", "cancelled"]


def judge_handle(result: Mapping[str, Any]) -> Handle:
    """Judge what `tools/call` returned in place of its result."""
    assert result["resultType"] == "task"
    return Handle.model_validate(_without(result, "resultType"))


def judge_result(method: str, result: Mapping[str, Any]) -> None:
    """Judge the result of a method of the extension."""
    assert result["resultType"] == "complete"
    if method == "tasks/get":
        DETAILED.validate_python(_without(result, "resultType"))
    else:
        assert set(result) <= {"resultType", "_meta"}


def judge_notification(params: Mapping[str, Any]) -> None:
    """Judge what is told of a task on a stream."""
    assert "io.modelcontextprotocol/subscriptionId" in params["_meta"]
    DETAILED.validate_python(dict(params))


def _without(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != name}
