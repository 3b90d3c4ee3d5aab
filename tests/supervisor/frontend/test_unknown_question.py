"""A kind of question that front ends know no better form for is asked for yes or no, in its own words."""

import msgspec

from greenroom.protocol.app_server.questions import ServerElicitation
from greenroom.protocol.approval import Question
from greenroom.protocol.display import shown
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.approval_facts import choices
from greenroom.supervisor.frontend.app_server.forms.question_form import question_request
from greenroom.supervisor.frontend.elicitation import request_params

THREAD = ConversationId("0199")
NO_FIELDS = {"type": "object", "properties": {}}


class HostQuestion(Question, tag="host"):
    """Whether a host may be reached: no kind of the program's own."""

    host: str

    def subject(self) -> str:
        return f"the connection to `{shown(self.host)}`"


QUESTION = HostQuestion(host="a.test\n")
WORDS = "Allow Codex to go on with the connection to `a.test⏎`?"


def test_clients_of_mcp_are_asked_by_an_empty_form() -> None:
    asked = msgspec.json.decode(request_params(QUESTION, "current", 7, "e", THREAD))
    assert (asked["message"], asked["requestedSchema"], asked["codex_elicitation"]) == (
        WORDS,
        NO_FIELDS,
        "host-approval",
    )


def test_clients_of_the_app_server_are_asked_by_an_empty_form() -> None:
    asked = question_request(QUESTION, THREAD, TurnId("t"), 1)
    assert isinstance(asked, ServerElicitation)
    assert (asked.server_name, asked.message, asked.requested_schema) == ("greenroom", WORDS, NO_FIELDS)


def test_it_can_be_decided_by_tools() -> None:
    assert choices(QUESTION) == ("approve", "approve-for-session", "deny", "stop")
