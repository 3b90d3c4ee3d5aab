"""The check of the Ray cluster that places nodes: whether it can be used, and has what a node claims."""

from collections.abc import Mapping, Sequence
from typing import Final

from greenroom.config.tables.ray_nodes import RayTable
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.checks.nodes import nodes_table
from greenroom.supervisor.cli.doctor.cluster import ClusterError, Machines
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding

INSTALL: Final = "Install it with `pip install 'greenroom[ray]'`, here and on every machine of the cluster."


async def ray_cluster(context: CheckContext) -> Finding:
    """Ask the cluster for its machines. Raises `ConfigError`."""
    table = await nodes_table(context)
    if table is None or table.listen is None or table.engine != "ray":
        return Finding("ok", "Ray places no nodes (`greenroom.nodes.engine`)")
    asked = {"address": table.ray.address}
    if not context.machine.has_package("ray"):
        return Finding("fail", "the package `ray` is not installed", asked, INSTALL)
    try:
        machines = await context.machine.cluster(context.environment, table.ray, context.patience.cluster)
    except ClusterError as error:
        remedy = "Start Ray on this machine (`ray start --address=HEAD`), or correct `greenroom.nodes.ray.address`."
        text = f"the Ray cluster at {table.ray.address} cannot be used: {error}"
        return Finding("fail", text, asked, remedy)
    details: dict[str, Detail] = {**asked, "machines": [_text(one) for one in machines]}
    return combined_finding(list(_lacking(table.ray, machines)), f"the cluster has {len(machines)} machines", details)


def _lacking(table: RayTable, machines: Machines) -> Sequence[Problem]:
    claimed = {"CPU": table.num_cpus, "memory": table.memory_mb * 1024.0 * 1024.0, **table.resources}
    claimed = {name: amount for name, amount in claimed.items() if amount}
    fitting = [one for one in machines if all(one.get(name, 0.0) >= amount for name, amount in claimed.items())]
    if not fitting:
        text = f"no machine of the cluster has what a node claims ({_text(claimed)})"
        remedy = (
            "Lower `num_cpus`, `memory_mb` or `resources` of `greenroom.nodes.ray`, or add such a machine; where an "
            "autoscaler adds it, nothing has to be done."
        )
        return [Problem("warning", text, remedy)]
    if table.spread == "STRICT_SPREAD" and len(fitting) < table.min_nodes:
        text = f"{len(fitting)} machines have what a node claims, and `min_nodes` is {table.min_nodes}"
        return [Problem("warning", text, "Add machines, lower `min_nodes`, or set `spread` to `SPREAD`.")]
    return []


def _text(resources: Mapping[str, float]) -> str:
    shown = {name: amount for name, amount in resources.items() if not name.startswith("node:")}
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(shown.items())) or "nothing"
