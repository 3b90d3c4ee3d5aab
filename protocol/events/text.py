"""Events about texts of the user and the agent."""

from greenroom.protocol.events.event import Event, Object


class UserMessage(Event, tag="user_message"):
    """The user's message is sent to the model."""

    since = "September 2025"

    message: str
    kind: str
    images: list[str]
    local_images: list[str]
    audio: list[Object]
    local_audio: list[Object]
    text_elements: list[Object]


class AgentMessage(Event, tag="agent_message"):
    """A text of the agent is complete."""

    message: str
    phase: str | None
    memory_citation: Object | None


class AgentMessageDelta(Event, tag="agent_message_delta"):
    """A piece of the agent's text."""

    delta: str


class AgentMessageContentDelta(Event, tag="agent_message_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str


class AgentReasoning(Event, tag="agent_reasoning"):
    """A part of the summary of the model's reasoning is complete."""

    text: str


class AgentReasoningDelta(Event, tag="agent_reasoning_delta"):
    """A piece of the reasoning summary."""

    delta: str


class ReasoningContentDelta(Event, tag="reasoning_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    summary_index: int


class AgentReasoningSectionBreak(Event, tag="agent_reasoning_section_break"):
    """The next part of the reasoning summary begins."""


class AgentReasoningRawContent(Event, tag="agent_reasoning_raw_content"):
    """The reasoning itself, if `show_raw_agent_reasoning` is set."""

    text: str


class AgentReasoningRawContentDelta(Event, tag="agent_reasoning_raw_content_delta"):
    """A piece of the reasoning itself, if `show_raw_agent_reasoning` is set."""

    delta: str


class ReasoningRawContentDelta(Event, tag="reasoning_raw_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    content_index: int
