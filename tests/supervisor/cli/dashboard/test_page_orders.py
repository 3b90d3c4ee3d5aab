"""Orders of a page reach the instance that is meant, and its answer reaches the page."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from greenroom.supervisor.cli.dashboard.orders import ORDERS
from greenroom.supervisor.control import instances
from tests.supervisor.cli.dashboard import scenes
from tests.supervisor.cli.dashboard.served import Dashboard, dashboard
from tests.supervisor.cli.status.stand_in import Part
from tests.supervisor.cli.status.stand_ins import House

SAID = {
    "interrupt": "InterruptConversation",
    "kill": "KillConversation",
    "stop": "StopInstance",
    "interrupt-client": "InterruptClient",
    "disconnect": "DisconnectClient",
    "drain": "DrainNode",
}


def test_each_order_of_the_page_is_tried_here() -> None:
    assert set(SAID) == set(ORDERS)


def play(house: House, scene: Callable[[Dashboard], Awaitable[None]]) -> None:
    async def run() -> None:
        where = [f"{house.runtime}/greenroom"]
        async with dashboard(scenes.nothing(), control=True, find=lambda: instances.running(where)) as served:
            await served.log_in()
            await scene(served)

    asyncio.run(run())


@pytest.mark.parametrize("order", SAID)
def test_an_order_reaches_its_instance_alone(house: House, order: str) -> None:
    meant, other = house.engage(), house.engage()

    async def scene(served: Dashboard) -> None:
        answer = await served.order(order=order, instance=meant.pid, target="one")
        assert (answer.status, json.loads(answer.text)) == (200, {"text": "As you wish."})

    play(house, scene)
    assert meant.hear()["do"] == SAID[order]
    other.stop()  # it has said nothing, so there is nothing to be read


def test_a_refusal_of_the_instance_is_told(house: House) -> None:
    one = house.engage(Part(refusal="no turn runs in it"))

    async def scene(served: Dashboard) -> None:
        answer = await served.order(order="interrupt", instance=one.pid, target="c")
        assert (answer.status, json.loads(answer.text)) == (409, {"text": "No turn runs in it."})

    play(house, scene)


def test_an_instance_that_does_not_answer_is_told_of(house: House) -> None:
    one = house.engage()
    one.stop()

    async def scene(served: Dashboard) -> None:
        answer = await served.order(order="stop", instance=one.pid, target="")
        assert (answer.status, json.loads(answer.text)) == (504, {"text": f"Instance {one.pid} does not answer."})
        gone = await served.order(order="stop", instance=1, target="")
        assert (gone.status, json.loads(gone.text)) == (404, {"text": "No instance is running with pid 1."})

    play(house, scene)
