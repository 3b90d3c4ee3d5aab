"""Where Greenroom differs from the recorded releases, each with the reason. Nothing else may differ."""

from collections.abc import Mapping
from typing import Final

from tests.conformance.samples import IdForm, Release, Sample, Scenario

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
        "agent_message_delta": "sent under its name of August 2025 too, which all clients know",
        "exec_command_output_delta": "output is told as it comes, as in August 2025",
    },
}
MISSING_EVENTS: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {},
    "0.153.4": {
        "warning": "it complains that the reference does not know the model",
    },
}
_TOLD_ON_STOP: Final = "a command that was begun has an end too, so that nobody shows it as running for ever"
_PATCH_SERVED: Final = (
    "the recorded model was not offered the tool that it called; here it was, and the patch is applied"
)
_PATCH_EVENTS: Final = ("patch_apply_begin", "patch_apply_end", "turn_diff")
_AFTER_ERROR: Final = "every turn ends with it, after an error too; the reference had stopped listening"
ADDED_IN: Final[Mapping[tuple[Release, Scenario], Mapping[str, str]]] = {
    ("0.25.0", "patch automatic"): {
        "turn_diff": "the recorded patch changed nothing, as its empty `unified_diff` says; here it changes the file",
    },
    ("0.25.0", "cancelled"): {
        "exec_command_end": _TOLD_ON_STOP,
        "token_count": "the response that made the call has cost its tokens; later releases tell it too",
    },
    ("0.25.0", "model error"): {"task_complete": _AFTER_ERROR},
    ("0.153.4", "patch approved"): {
        **dict.fromkeys(("apply_patch_approval_request", *_PATCH_EVENTS), _PATCH_SERVED),
        "item_started": _PATCH_SERVED,
        "item_completed": _PATCH_SERVED,
    },
    ("0.153.4", "patch automatic"): {
        **dict.fromkeys(_PATCH_EVENTS, _PATCH_SERVED),
        "item_started": _PATCH_SERVED,
        "item_completed": _PATCH_SERVED,
    },
    ("0.153.4", "plan"): {"plan_update": "the recorded model was not offered the tool; here all models are"},
    ("0.153.4", "cancelled"): {"exec_command_end": _TOLD_ON_STOP, "item_completed": _TOLD_ON_STOP},
    ("0.153.4", "model error"): {"task_complete": _AFTER_ERROR},
}
"""What is told in one recording's scenario beyond what `ADDED_EVENTS` has."""
MISSING_FIELDS: Final[Mapping[Release, Mapping[tuple[str, str], str]]] = {
    "0.25.0": {},
    "0.153.4": {
        ("session_configured", "permission_profile"): "told as sandbox_policy, as before",
        ("exec_approval_request", "environmentId"): "there is one environment",
        ("exec_approval_request", "proposed_execpolicy_amendment"): "there is no such policy to amend",
    },
}
EVENT_IDS: Final[Mapping[tuple[str, IdForm], tuple[IdForm, str]]] = {
    ("codex-reply", "counter"): ("uuid7", "as releases from February 2026 on have it; nobody can use the counter"),
    ("codex", "uuid7"): ("request", "as all releases before 0.150 had it, which clients relied on"),
}
_RELEASED: Final = "a client that waits for a cancelled call is released; one that gave up ignores the answer"
ANSWERS: Final[Mapping[Scenario, tuple[str, str]]] = {
    "cancelled": ("Turn aborted: interrupted", _RELEASED),
    "model error": (
        "unexpected status 400 Bad Request: bad request, url: ",
        "the releases say two things of status 400, the later one the bare body; here it has the form that releases of "
        "2026 give every other status: its name, the reason, the address",
    ),
}
"""How answers begin that have another text than the recorded one."""
RESULT_ADDED: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {"structuredContent": "the only place for the conversation's id; harmless to old clients"},
    "0.153.4": {},
}
RESULT_ADDED_IN: Final[Mapping[tuple[Release, Scenario], Mapping[str, str]]] = {
    **{
        (release, "cancelled"): dict.fromkeys(("content", "structuredContent", "isError", "error"), _RELEASED)
        for release in ("0.25.0", "0.153.4")
    },
    ("0.25.0", "model error"): {
        "content": "no result of MCP is without it: clients refused the recorded one",
        "isError": "only by it do clients see that the call failed",
    },
    ("0.153.4", "model error"): {"error": "where clients of August 2025 look for the text"},
}
_WHO_ASKS: Final = {"threadId": "as later releases have it: clients learn which conversation asks"}
_WHAT_IS_ASKED: Final = {"codex_parsed_cmd": "as later releases have it: clients show what a command does"}
QUESTION_ADDED: Final[Mapping[tuple[Release, Scenario], Mapping[str, str]]] = {
    ("0.25.0", "command approved"): {**_WHO_ASKS, **_WHAT_IS_ASKED},
    ("0.25.0", "command denied"): {**_WHO_ASKS, **_WHAT_IS_ASKED},
    ("0.25.0", "patch approved"): _WHO_ASKS,
}
QUESTION_OF_ITS_OWN: Final[Mapping[tuple[Release, Scenario], str]] = {("0.153.4", "patch approved"): _PATCH_SERVED}
"""Where the user is asked and was not."""
META_ADDED: Final[Mapping[Release, Mapping[str, str]]] = {
    "0.25.0": {"threadId": "later clients sort events by it"},
    "0.153.4": {},
}
INPUTS_BEFORE: Final[Mapping[Release, tuple[tuple[str, ...], str]]] = {
    "0.25.0": (("developer",), "permissions are told in a message of their own, as later releases do"),
    "0.153.4": ((), ""),
}


def added_events(sample: Sample) -> frozenset[str]:
    """Return the types of events that a scenario has here and had not there."""
    return frozenset(ADDED_EVENTS[sample.release]) | frozenset(ADDED_IN.get((sample.release, sample.scenario), ()))


def added_to_result(sample: Sample) -> frozenset[str]:
    """Return the members that a result has here and had not there."""
    return frozenset(RESULT_ADDED[sample.release]) | frozenset(
        RESULT_ADDED_IN.get((sample.release, sample.scenario), ())
    )
