"""Orders reach exactly the intended instance and conversation, or none."""

import json
import os
import signal
from dataclasses import replace

import pytest

from greenroom.supervisor.cli.status import actions
from greenroom.supervisor.control.instances import parents, running
from tests.supervisor.cli.status.stand_in import Part
from tests.supervisor.cli.status.stand_ins import House, StandIn
from tests.support import processes

pytestmark = pytest.mark.processes

ID = "01a20312-0577-77d3-9bb9-ad78bbf82560"
OTHER = "01a20312-0577-77d3-9bb9-ad78bbf89999"
ENTRIES = [{"id": one, "state": "running", "incarnation": 1} for one in (ID, OTHER)]
HOST = Part(report=json.dumps({"conversations": ENTRIES}))


@pytest.mark.parametrize(("command", "order"), [("interrupt", "InterruptConversation"), ("kill", "KillConversation")])
def test_a_conversation_is_found_wherever_it_is(house: House, command: str, order: str) -> None:
    host, _ = house.engage(HOST), house.engage()
    for given in (ID, ID.upper(), "ad78bbf82560", "82560", "01a20312-0577-77d3-9bb9-ad78bbf82"):
        told = house.run(command, given)
        assert (told.returncode, told.stdout, told.stderr) == (0, "as you wish\n", ""), given
        assert host.hear() == {"do": order, "conversation_id": ID}, given


def test_an_id_that_means_several_means_none(house: House) -> None:
    house.engage(HOST)
    told = house.run("kill", "01a20312")
    assert told.returncode == 1
    assert ID in told.stderr
    assert OTHER in told.stderr


def test_a_conversation_that_nobody_has_is_code_1(house: House) -> None:
    house.engage(HOST)
    told = house.run("interrupt", "ffffffff-ffff")
    assert told.returncode in (1, 2)  # 2: some other instance of this user does not answer
    assert "ffffffff-ffff" in told.stderr


def test_a_conversation_that_a_silent_instance_may_have_is_code_2(house: House) -> None:
    host = house.engage(HOST)
    host.stop()
    told = house.run("interrupt", ID)
    assert told.returncode == 2
    assert str(host.pid) in told.stderr


def test_a_refusal_is_code_3(house: House) -> None:
    house.engage(replace(HOST, refusal="no turn runs in this conversation"))
    told = house.run("interrupt", ID)
    assert (told.returncode, told.stderr) == (3, "greenroom: no turn runs in this conversation\n")


# stop


def stop(house: House, stand_in: StandIn, *more: str) -> tuple[int, str]:
    told = house.run("stop", "--instance", str(stand_in.pid), *more)
    return told.returncode, told.stdout + told.stderr


def test_an_instance_is_stopped_and_waited_for(house: House) -> None:
    stand_in = house.engage()
    assert stop(house, stand_in) == (0, f"instance {stand_in.pid} has ended\n")
    assert not processes.alive(stand_in.pid)
    assert stand_in.process.wait() == 0


def test_one_of_several_has_to_be_chosen(house: House) -> None:
    pids = [house.engage().pid for _ in range(2)]
    told = house.run("stop")
    assert told.returncode == 1
    assert all(str(pid) in told.stderr for pid in pids)
    assert all(processes.alive(pid) for pid in pids)


def test_one_that_does_not_run_is_code_1(house: House) -> None:
    told = house.run("stop", "--instance", str(os.getpid()))
    assert told.returncode == 1


def test_one_that_does_not_answer_is_left_alone(house: House) -> None:
    stand_in = house.engage()
    stand_in.stop()
    assert stop(house, stand_in) == (
        2,
        f"greenroom: instance {stand_in.pid} does not answer; --force kills it\n",
    )
    assert processes.alive(stand_in.pid)


def test_force_kills_what_does_not_answer_with_all_its_processes(house: House) -> None:
    stand_in = house.engage(Part(workers=2, commands=1))
    tree = processes.tree(stand_in.pid)
    stand_in.stop(stand_in.pids["worker0"])
    stand_in.stop()
    assert stop(house, stand_in, "--force") == (0, f"instance {stand_in.pid} has ended\n")
    assert processes.remaining(tree, within=5) == []
    assert stand_in.process.wait() == -signal.SIGKILL


def test_force_is_gentle_with_one_that_answers(house: House) -> None:
    stand_in = house.engage()
    assert stop(house, stand_in, "--force")[0] == 0
    assert stand_in.process.wait() == 0


def test_one_that_obeys_and_does_not_end_is_code_2(house: House) -> None:
    stand_in = house.engage(Part(manner="mute"))
    (found,) = (one for one in running(parents(house.environment)) if one.instance.pid == stand_in.pid)
    assert not actions._has_ended(found, more=0.1 - actions.END_TIMEOUT)
    stand_in.process.send_signal(signal.SIGKILL)
    stand_in.process.wait()
    assert actions._has_ended(found, more=20.0)
