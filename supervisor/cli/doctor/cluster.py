"""Asks a Ray cluster for its machines, from a process of its own: Ray is slow to import, and may wait for a minute."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec

from greenroom.config.tables.ray_nodes import RayTable
from greenroom.protocol.secrecy import is_secret_name

STATEMENT: Final = """
import json, sys
import ray
ray.init(address=sys.argv[1], namespace=sys.argv[2], configure_logging=False, log_to_driver=False, _skip_env_hook=True)
print("\\n" + json.dumps([node["Resources"] for node in ray.nodes() if node["Alive"]]))
ray.shutdown()
"""
"""What asks the cluster, as `gr-ray` does."""

Machines: TypeAlias = Sequence[Mapping[str, float]]
"""The resources of each machine of a cluster."""


class ClusterError(Exception):
    """The cluster could not be asked."""


async def ask_cluster(environment: Mapping[str, str], table: RayTable, seconds: float) -> Machines:
    """Return the machines of a cluster, from a process of its own. Raises `ClusterError`."""
    own = {name: value for name, value in environment.items() if not is_secret_name(name) or name.startswith("RAY_")}
    words = (sys.executable, "-I", "-c", STATEMENT, table.address, table.namespace)
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**own, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            told, errors = await process.communicate()
    except TimeoutError:
        raise ClusterError(f"no answer within {seconds:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise ClusterError(lines[-1] if lines else f"exit code {process.returncode}")
    try:
        return msgspec.json.decode(told.strip().splitlines()[-1], type=list[dict[str, float]])
    except (msgspec.MsgspecError, IndexError):
        raise ClusterError("it has not told its machines") from None
