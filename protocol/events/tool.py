"""Events about the agent's other tools."""

from typing import Literal

import msgspec

from greenroom.protocol.events.event import Event, Object


class PlanStep(msgspec.Struct, frozen=True):
    """One step of a plan."""

    step: str
    status: Literal["pending", "in_progress", "completed"]


class PlanUpdate(Event, tag="plan_update"):
    """The model has made or changed its plan."""

    explanation: str | None
    plan: list[PlanStep]


class WebSearchBegin(Event, tag="web_search_begin"):
    """The model's server searches the web."""

    since = "August 2025"

    call_id: str
    query: str


class WebSearchEnd(Event, tag="web_search_end"):
    """The model's server has searched the web, or opened a page."""

    since = "September 2025"

    call_id: str
    query: str
    action: Object | None


class ViewImageToolCall(Event, tag="view_image_tool_call"):
    """The model looks at an image of the workspace."""

    since = "October 2025"

    call_id: str
    path: str
