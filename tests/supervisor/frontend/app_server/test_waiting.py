"""What a thread waits for is told to its client, by kind and once; and what waits too long a time is refused."""

from greenroom.config.defaults import Limits
from greenroom.protocol.approval import FormQuestion
from tests.supervisor.frontend.app_server.test_two_clients import LIST, AppClient, Scene
from tests.support.loop import on_loop

FORM = FormQuestion(server="s", message="Who?", form={"type": "object", "properties": {}})


def flags(client: AppClient) -> list[list[str]]:
    """Return what the client was told that the running turn waits for, one list for each change."""
    told = [message["params"] for message in client.messages if message.get("method") == "thread/status/changed"]
    return [params["status"]["activeFlags"] for params in told if params["status"]["type"] == "active"]


@on_loop
async def test_the_kinds_of_open_questions_are_told() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    scene.ask_user(turn, FORM, 1)
    scene.ask_user(turn, LIST, 2)
    form, command = [message for message in scene.one.messages if "id" in message and "method" in message]
    scene.one.decide(command, "decline")
    scene.one.respond(form, {"action": "accept", "content": {}})
    user, approval = "waitingOnUserInput", "waitingOnApproval"
    assert flags(scene.one) == [[], [user], [approval, user], [user], []]


@on_loop
async def test_a_second_question_of_a_kind_changes_nothing() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    for number in (1, 2):
        scene.ask_user(turn, LIST, number)
    assert flags(scene.one) == [[], ["waitingOnApproval"]]


@on_loop
async def test_a_turn_too_many_is_refused_so_that_it_may_be_tried_again() -> None:
    scene = Scene()
    await scene.begin()
    await scene.turn()
    for number in range(Limits().queued_turns):
        answer = await scene.one.ask(f"q{number}", "turn/start", threadId=scene.conversation.id, input=[])
        assert "result" in answer
    refused = await scene.one.ask("more", "turn/start", threadId=scene.conversation.id, input=[])
    assert (refused["error"]["code"], refused["error"]["data"]) == (-32001, {"codex_error_info": "server_overloaded"})
