"""What tests say over and over in the conversation API."""

from tests.support.client import Client, Message


def begin(client: Client, **params: object) -> str:
    """Begin a conversation and return its id."""
    conversation: str = client.result(client.request("newConversation", params))["conversationId"]
    return conversation


def listen(client: Client, conversation: str) -> str:
    """Add a listener and return its id."""
    result = client.result(client.request("addConversationListener", {"conversationId": conversation}))
    subscription: str = result["subscriptionId"]
    return subscription


def say(client: Client, conversation: str, text: str) -> None:
    """Send a message, which is acknowledged."""
    assert client.result(client.request("sendUserMessage", message(conversation, text))) == {}


def message(conversation: str, text: str, **more: object) -> dict[str, object]:
    """Return the params of a message."""
    return {"conversationId": conversation, "items": [{"type": "text", "data": {"text": text}}], **more}


def event(client: Client, conversation: str, kind: str, nth: int = 0) -> Message:
    """Return the message of the n-th event of a kind in a conversation, waiting for it."""
    seen = 0

    def wanted(told: Message) -> bool:
        nonlocal seen
        if told.get("method") != f"codex/event/{kind}" or told["params"]["conversationId"] != conversation:
            return False
        seen += 1
        return seen > nth

    found: Message = client.until(wanted)["params"]["msg"]
    return found


def heard(client: Client, conversation: str) -> list[Message]:
    """Return the events of a conversation that have been read so far."""
    return [
        told["params"]
        for told in client.messages
        if str(told.get("method")).startswith("codex/event/") and told["params"].get("conversationId") == conversation
    ]


def asked(client: Client, method: str, nth: int = 0) -> Message:
    """Return the n-th request of the server by a method, waiting for it."""
    seen = 0

    def wanted(told: Message) -> bool:
        nonlocal seen
        seen += told.get("method") == method and "id" in told
        return seen > nth

    return client.until(wanted)


def refused(client: Client, method: str, params: object = None) -> tuple[int, str]:
    """Return code and text with which a request is refused."""
    error = client.ask(method, params)["error"]
    return error["code"], error["message"]
