"""`greenroom metrics`: prints the metrics of the running instances as an OpenMetrics page."""

import sys
from argparse import Namespace

from greenroom.protocol.telemetry import openmetrics
from greenroom.supervisor.cli.output import complain
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.cli.status.diagnostics import NOTHING
from greenroom.supervisor.cli.status.status import find_instances, nothing_found
from greenroom.supervisor.control.control_messages import ActionRefused, GiveMetrics, MetricsReported

UNANSWERED = 2
"""The exit code where an instance does not answer, as `greenroom status` has it."""
REFUSED = 3


def run_metrics(arguments: Namespace) -> int:
    """Print one page for all instances, or for one, and return the exit code.

    Each sample has the process id of its instance as a label. An instance that does not answer is left out of the page.
    """
    found = find_instances(arguments.instance)
    if not found:
        complain(nothing_found(arguments.instance))
        return NOTHING
    heard = ask([one.control for one in found], GiveMetrics())
    told: list[openmetrics.LabelledFamilies] = []
    code = 0
    for one in found:
        reply, pid = heard[one.control].reply, one.instance.pid
        if isinstance(reply, MetricsReported):
            told.append(((("pid", str(pid)),), reply.families))
            continue
        refusal = reply.text if isinstance(reply, ActionRefused) else None
        complain(f"instance {pid}: {refusal or 'it does not answer'}")
        code = UNANSWERED if refusal is None else code or REFUSED
    sys.stdout.write(openmetrics.metrics_page(told))
    sys.stdout.flush()
    return code
