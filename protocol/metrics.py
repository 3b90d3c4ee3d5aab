"""The table of metrics, and their values at one moment as an instance tells them. Free of I/O.

A label has one of a small, fixed set of values: never an id, a name that others have chosen, or a text.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets of what should take milliseconds, in seconds."""
LONG: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Buckets of what may take minutes, in seconds."""


class Metric(msgspec.Struct, frozen=True):
    """One metric."""

    kind: Kind
    help: str
    """One sentence."""
    labels: tuple[str, ...] = ()
    unit: str = ""
    """`seconds`, `bytes` or empty; the name ends with it."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, without infinity."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """A value of a counter, a gauge or an info."""

    labels: tuple[str, ...]
    value: float


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """The values of a histogram."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Values in each bucket alone, the last of which has no bound."""
    sum: float


class Family(msgspec.Struct, frozen=True):
    """A metric and its values."""

    name: str
    metric: Metric
    samples: tuple[Sample, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def _counter(text: str, *labels: str, unit: str = "") -> Metric:
    return Metric("counter", text, labels, unit)


def _gauge(text: str, *labels: str, unit: str = "") -> Metric:
    return Metric("gauge", text, labels, unit)


def _histogram(text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric("histogram", text, labels, "seconds", buckets)


METRICS: Final[Mapping[str, Metric]] = {
    "greenroom_build": Metric("info", "Version of the program, and how it starts processes.", ("version", "engine")),
    "greenroom_start_time_seconds": _gauge("When the instance started, since the epoch.", unit="seconds"),
    # Conversations, calls and turns
    "greenroom_conversations": _gauge("Conversations that the instance keeps, by state.", "state"),
    "greenroom_conversations_waiting": _gauge(
        "Conversations that wait until another one is parked, or a node has room."
    ),
    "greenroom_conversations_held": _gauge("Conversations that are held back because a client does not read."),
    "greenroom_conversations_forgotten": _counter("Conversations at rest that were dropped from memory."),
    "greenroom_clients": _gauge("Clients that are connected."),
    "greenroom_calls_open": _gauge("Calls of all clients that wait for their answer."),
    "greenroom_calls": _counter("Turns, further inputs, compactions and commands that clients have asked for.", "kind"),
    "greenroom_calls_refused": _counter("Those of them that were refused because too many waited.", "kind"),
    "greenroom_turns": _counter("Turns that have ended; `kind` is that of the error, or empty.", "outcome", "kind"),
    "greenroom_turns_running": _gauge("Turns that run."),
    "greenroom_turns_waiting": _gauge("Turns that wait for those before them, or for a process."),
    "greenroom_turn_wait_seconds": _histogram("From a call to the start of its turn in a worker.", SHORT),
    "greenroom_turn_duration_seconds": _histogram("From a call to the end of its turn.", LONG, "outcome"),
    # The model
    "greenroom_call_to_model_seconds": _histogram("From a call to the first model request of its turn.", SHORT),
    "greenroom_first_token_seconds": _histogram(
        "From the last attempt at a model request to the first event of the answer.", LONG
    ),
    "greenroom_model_request_duration_seconds": _histogram(
        "From a model request to the end of its answer, with retries and waits.", LONG, "outcome"
    ),
    "greenroom_model_attempts": _counter("Attempts at model requests, by their end.", "outcome"),
    "greenroom_model_retries": _counter("Attempts that followed another one of the same request."),
    "greenroom_rate_limited": _counter("Attempts that were refused with the status 429."),
    "greenroom_tokens": _counter("Tokens of answers, as model servers have reported them.", "kind"),
    # Tools and approvals
    "greenroom_tool_duration_seconds": _histogram("Tool calls of the model.", LONG, "tool"),
    "greenroom_tool_failures": _counter("Tool calls that failed or were refused.", "tool"),
    "greenroom_approval_duration_seconds": _histogram("From a question to the decision.", LONG, "by", "verdict"),
    "greenroom_approvals_open": _gauge("Questions that wait for a decision."),
    # Processes
    "greenroom_processes": _gauge("Processes of the instance, by role.", "role"),
    "greenroom_processes_started": _counter("Processes that were started, but for the supervisor and fork servers."),
    "greenroom_workers_ready": _gauge("Workers that wait for a conversation."),
    "greenroom_workers_starting": _gauge("Workers that have been requested and are not ready."),
    "greenroom_workers_ordered": _gauge("Conversations and jobs that wait for a worker."),
    "greenroom_nodes": _gauge("Nodes that are known, by state.", "state"),
    "greenroom_node_capacity": _gauge("Workers that the nodes take together which are ready."),
    "greenroom_node_conversations": _gauge(
        "Conversations that have a worker on a node, or are about to (`placed`), and those that wait for a place.",
        "state",
    ),
    "greenroom_deaths": _counter("Deaths of processes that nobody asked for.", "role", "cause"),
    "greenroom_restarts": _counter("Processes that took the place of one that had died.", "role"),
    "greenroom_private_memory_bytes": _gauge(
        "Memory that one process alone uses, added up by role.", "role", unit="bytes"
    ),
    "greenroom_proportional_memory_bytes": _gauge(
        "Memory with shared pages divided among their users, added up by role.", "role", unit="bytes"
    ),
    "greenroom_largest_private_memory_bytes": _gauge(
        "Private memory of the largest process of a role.", "role", unit="bytes"
    ),
    "greenroom_open_descriptors": _gauge("Open file descriptors, added up by role.", "role"),
    # Queues and back-pressure
    "greenroom_client_read_bytes": _counter("Bytes that clients have sent.", unit="bytes"),
    "greenroom_client_written_bytes": _counter("Bytes that were sent to clients.", unit="bytes"),
    "greenroom_client_waiting_bytes": _gauge("Bytes that wait for clients to read.", unit="bytes"),
    "greenroom_worker_waiting_bytes": _gauge("Bytes of events that wait in workers.", unit="bytes"),
    "greenroom_worker_messages_received": _counter("Messages of workers."),
    "greenroom_worker_messages_sent": _counter("Messages to workers."),
    "greenroom_worker_messages_refused": _counter("Messages to workers that found a queue full or nobody there."),
    "greenroom_timings_dropped": _counter("Timings that workers dropped because there were too many."),
    # The login
    "greenroom_credential": _gauge("1 for the state of the credential.", "state"),
    "greenroom_credential_expiry_seconds": _gauge("Seconds until the access token expires.", unit="seconds"),
}
"""All metrics, in the order of the page. The names are those of OpenMetrics: a counter is shown with `_total`."""
