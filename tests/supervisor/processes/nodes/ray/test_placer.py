"""What the host tells of the nodes that it has asked Ray for."""

import asyncio
from pathlib import Path

from greenroom.config.tables.ray_nodes import RayTable
from greenroom.protocol.ids import NodeName
from greenroom.protocol.internal.outpost import Seen, SeenOutpost
from greenroom.supervisor.processes.nodes.engine import NodeView
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.processes.nodes.ray.placer import RayPlacer


class Engine:
    """An engine that knows these nodes."""

    def __init__(self, *views: NodeView) -> None:
        self.views = views

    def nodes(self) -> tuple[NodeView, ...]:
        return self.views

    def drain(self, node: NodeName) -> bool:
        raise AssertionError(node)

    def forget(self, node: NodeName) -> None:
        raise AssertionError(node)


def test_what_ray_has_not_started_is_shown_with_what_it_waits_for(tmp_path: Path) -> None:
    asyncio.run(is_shown(tmp_path))


async def is_shown(home: Path) -> None:
    joined = NodeView(NodeName("build-1"), "ready", 4, 1)
    engine = Engine(joined)
    table = RayTable(min_nodes=2, max_nodes=2)
    placer = RayPlacer(
        table, "tcp://127.0.0.1:1", "key", "warning", NodeKeys(str(home)), engine, list, list, lambda: None
    )
    assert placer.views(engine.views) == [joined], "nothing is asked for before the cluster was seen"
    placer._see(Seen(is_connected=True))
    found = placer.views(engine.views)
    assert found[0] == joined
    assert [(one.name, one.state, one.engine, one.note) for one in found[1:]] == [
        ("ray-1", "absent", "ray", "asked of Ray 0 s ago"),
        ("ray-2", "absent", "ray", "asked of Ray 0 s ago"),
    ]
    first = placer.fleet.wanted[0]
    engine.views = (joined, NodeView(NodeName("ray-1"), "ready", 4, 0))
    placer._see(Seen(is_connected=True, outposts=(SeenOutpost(first, "running", "", "m"),)))
    states = {str(one.name): (one.state, one.engine, one.note) for one in placer.views(engine.views)}
    assert states["ray-1"] == ("ready", "ray", "")
    assert states["ray-2"] == ("absent", "ray", "asked of Ray 0 s ago")
