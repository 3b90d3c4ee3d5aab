"""The table of metrics. Free of I/O. Those of which workers alone know are in
`greenroom.protocol.telemetry.timing_metrics`.

A label has one of a small, fixed set of values: never an id, a name that others have chosen, or a text.
"""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.telemetry.metric import LONG, SHORT, Metric, counter, gauge, histogram
from greenroom.protocol.telemetry.timing_metrics import TIMING_METRICS

METRICS: Final[Mapping[str, Metric]] = {
    "greenroom_build": Metric("info", "Version of the program, and how it starts processes.", ("version", "engine")),
    "greenroom_start_time_seconds": gauge("When the instance started, since the epoch.", unit="seconds"),
    # Conversations, calls and turns
    "greenroom_conversations": gauge("Conversations that the instance keeps, by state.", "state"),
    "greenroom_conversations_waiting": gauge(
        "Conversations that wait until another one is parked, or a node has room."
    ),
    "greenroom_conversations_held": gauge("Conversations that are held back because a client does not read."),
    "greenroom_conversations_forgotten": counter("Conversations at rest that were dropped from memory."),
    "greenroom_clients": gauge("Clients that are connected."),
    "greenroom_calls_open": gauge("Calls of all clients that wait for their answer."),
    "greenroom_calls": counter("Turns, further inputs, compactions and commands that clients have asked for.", "kind"),
    "greenroom_calls_refused": counter("Those of them that were refused because too many waited.", "kind"),
    "greenroom_turns": counter("Turns that have ended; `kind` is that of the error, or empty.", "outcome", "kind"),
    "greenroom_turns_running": gauge("Turns that run."),
    "greenroom_turns_waiting": gauge("Turns that wait for those before them, or for a process."),
    "greenroom_turn_wait_seconds": histogram("From a call to the start of its turn in a worker.", SHORT),
    "greenroom_turn_duration_seconds": histogram("From a call to the end of its turn.", LONG, "outcome"),
    # The model
    "greenroom_call_to_model_seconds": histogram("From a call to the first model request of its turn.", SHORT),
    # The model, tools and approvals, as workers have measured them
    **{name: row.metric for name, row in TIMING_METRICS.items()},
    "greenroom_approvals_open": gauge("Questions that wait for a decision."),
    # Processes
    "greenroom_processes": gauge("Processes of the instance, by role.", "role"),
    "greenroom_processes_started": counter("Processes that were started, but for the supervisor and fork servers."),
    "greenroom_workers_ready": gauge("Workers that wait for a conversation."),
    "greenroom_workers_starting": gauge("Workers that have been requested and are not ready."),
    "greenroom_workers_ordered": gauge("Conversations and jobs that wait for a worker."),
    "greenroom_nodes": gauge("Nodes that are known, by state.", "state"),
    "greenroom_node_capacity": gauge("Workers that the nodes take together which are ready."),
    "greenroom_node_conversations": gauge(
        "Conversations that have a worker on a node, or are about to (`placed`), and those that wait for a place.",
        "state",
    ),
    "greenroom_deaths": counter("Deaths of processes that nobody asked for.", "role", "cause"),
    "greenroom_restarts": counter("Processes that took the place of one that had died.", "role"),
    "greenroom_private_memory_bytes": gauge(
        "Memory that one process alone uses, added up by role.", "role", unit="bytes"
    ),
    "greenroom_proportional_memory_bytes": gauge(
        "Memory with shared pages divided among their users, added up by role.", "role", unit="bytes"
    ),
    "greenroom_largest_private_memory_bytes": gauge(
        "Private memory of the largest process of a role.", "role", unit="bytes"
    ),
    "greenroom_open_descriptors": gauge("Open file descriptors, added up by role.", "role"),
    # Queues and back-pressure
    "greenroom_client_read_bytes": counter("Bytes that clients have sent.", unit="bytes"),
    "greenroom_client_written_bytes": counter("Bytes that were sent to clients.", unit="bytes"),
    "greenroom_client_waiting_bytes": gauge("Bytes that wait for clients to read.", unit="bytes"),
    "greenroom_worker_waiting_bytes": gauge("Bytes of events that wait in workers.", unit="bytes"),
    "greenroom_worker_messages_received": counter("Messages of workers."),
    "greenroom_worker_messages_sent": counter("Messages to workers."),
    "greenroom_worker_messages_refused": counter("Messages to workers that found a full queue or no connection."),
    "greenroom_timings_dropped": counter("Timings that workers dropped because there were too many."),
    "greenroom_telemetry_records": counter(
        "Spans and events for collectors of OpenTelemetry: `sent`, `failed` (no attempt has succeeded), or `dropped` "
        "because too many waited.",
        "signal",
        "outcome",
    ),
    # The login
    "greenroom_credential": gauge("1 for the state of the credential.", "state"),
    "greenroom_credential_expiry_seconds": gauge("Seconds until the access token expires.", unit="seconds"),
}
"""All metrics, in the order of the page. The names are those of OpenMetrics: a counter is shown with `_total`."""
