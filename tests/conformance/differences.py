"""Where Greenroom differs from the recorded releases, each with the reason. Nothing else may differ."""

from collections.abc import Mapping
from typing import Final

from tests.conformance.samples import IdForm, Release

ADDED_EVENTS: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {"user_message": "later releases tell the user's message too, and old clients pass it over"},
    "0.153.4": {
        "agent_message_delta": "sent under the name of August 2025, which clients of all versions know (spec/wire 5.6)",
        "exec_command_output_delta": "output is told as it comes, as in August 2025",
    },
}
MISSING_EVENTS: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {},
    "0.153.4": {
        "agent_message_content_delta": "sent as agent_message_delta (spec/wire 5.6)",
        "item_completed": "not in the recommended event set",
        "item_started": "not in the recommended event set",
        "mcp_startup_complete": "no servers are configured, so none start",
        "raw_response_completed": "not in the recommended event set",
        "raw_response_item": "not in the recommended event set",
        "warning": "it complains that the reference does not know the model",
    },
}
MISSING_FIELDS: Final[Mapping[Release, Mapping[tuple[str, str], str]]] = {
    "0.25.0": {},
    "0.153.4": {
        ("session_configured", "approvals_reviewer"): "there is no reviewer beside the user",
        ("session_configured", "permission_profile"): "told as sandbox_policy, as before",
        ("task_started", "collaboration_mode_kind"): "there are no such modes",
        ("task_complete", "time_to_first_token_ms"): "not measured",
        ("user_message", "audio"): "there is no audio input",
        ("user_message", "local_audio"): "there is no audio input",
        ("exec_command_begin", "process_id"): "commands are not kept in a terminal that could be addressed",
        ("exec_command_begin", "source"): "there is one source: the agent",
        ("exec_command_begin", "started_at_ms"): "the time of arrival tells it",
        ("exec_command_end", "process_id"): "commands are not kept in a terminal that could be addressed",
        ("exec_command_end", "source"): "there is one source: the agent",
        ("exec_command_end", "completed_at_ms"): "the time of arrival tells it",
    },
}
EVENT_IDS: Final[Mapping[tuple[str, IdForm], tuple[IdForm, str]]] = {
    ("codex-reply", "counter"): ("uuid7", "as releases from February 2026 on have it; nobody can use the counter"),
    ("codex", "uuid7"): ("request", "as all releases before 0.150 had it, which clients relied on"),
}
RESULT_ADDED: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {
        "structuredContent": "the only place for the conversation's id; harmless to old clients (spec/wire 3.6)"
    },
    "0.153.4": {},
}
META_ADDED: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {"threadId": "later clients sort events by it"},
    "0.153.4": {},
}
INPUTS_BEFORE: Final[Mapping[Release, tuple[tuple[str, ...], str]]] = {
    "0.25.0": (("developer",), "permissions are told in a message of their own, as later releases do"),
    "0.153.4": ((), ""),
}
