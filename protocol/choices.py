"""Closed sets of values that settings, the command line, processes and reports share."""

from typing import Final, Literal, TypeAlias

EngineName: TypeAlias = Literal["fork", "spawn"]
"""How processes are started: forked from the fork server, or spawned as fresh interpreters."""
EventMode: TypeAlias = Literal["full", "progress", "off"]
"""What a client is told while a turn runs: every event, all but `DELTA_EVENTS`, or none."""
DELTA_EVENTS: Final = frozenset(
    {
        "agent_message_delta",
        "agent_reasoning_delta",
        "agent_reasoning_raw_content_delta",
        "exec_command_output_delta",
        "agent_message_content_delta",
        "reasoning_content_delta",
        "reasoning_raw_content_delta",
        "raw_response_item",
    }
)
"""Events that come in great number, and of which a later one holds the whole."""
EventSetting: TypeAlias = Literal["auto", "full", "progress", "off"]
"""`auto` stands for `full`, but for `off` where the client cannot take events."""
EventForm: TypeAlias = Literal["current", "baseline"]
"""Which form events have that releases write differently; `baseline` is that of August 2025."""
AttachMode: TypeAlias = Literal["auto", "off", "require"]
"""Whether `greenroom mcp-server` joins a running host: where there is one, never, or always."""
PreferredAuth: TypeAlias = Literal["chatgpt", "apikey"]
"""Which credential is used where there are two."""
CredentialsStore: TypeAlias = Literal["file", "keyring", "auto", "ephemeral"]
"""Where credentials are kept; `ephemeral` is in memory alone."""
ForcedLogin: TypeAlias = Literal["chatgpt", "api"]
"""The one way to log in."""
LogFormat: TypeAlias = Literal["text", "json"]
"""The form of the lines on standard error."""
