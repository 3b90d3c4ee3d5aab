"""Where Greenroom differs from the recorded releases, each with the reason. Nothing else may differ."""

from collections.abc import Mapping
from typing import Final

from tests.conformance.samples import IdForm, Release

ADDED_EVENTS: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {
        "agent_message_content_delta": "its later name beside the earlier one; old clients pass it over",
        "item_completed": "how later releases tell of the same; old clients pass it over",
        "item_started": "how later releases tell of the same; old clients pass it over",
        "mcp_startup_complete": "later clients wait for it; old ones pass it over",
        "raw_response_completed": "how later releases tell of the same; old clients pass it over",
        "raw_response_item": "how later releases tell of the same; old clients pass it over",
        "user_message": "later releases tell the user's message too, and old clients pass it over",
    },
    "0.153.4": {
        "agent_message_delta": "sent under its name of August 2025 too, which all clients know (spec/wire 5.6)",
        "exec_command_output_delta": "output is told as it comes, as in August 2025",
    },
}
MISSING_EVENTS: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {},
    "0.153.4": {
        "warning": "it complains that the reference does not know the model",
    },
}
MISSING_FIELDS: Final[Mapping[Release, Mapping[tuple[str, str], str]]] = {
    "0.25.0": {},
    "0.153.4": {
        ("session_configured", "permission_profile"): "told as sandbox_policy, as before",
        ("exec_approval_request", "environmentId"): "there is one environment",
        ("exec_approval_request", "proposed_execpolicy_amendment"): "there is no such policy to amend",
        ("exec_approval_request", "reason"): "the model gives none in this script",
        ("exec_command_begin", "process_id"): "the tool `shell` keeps no commands that could be addressed",
        ("exec_command_end", "process_id"): "the tool `shell` keeps no commands that could be addressed",
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
