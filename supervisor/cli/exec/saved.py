"""Finds the saved conversation that a run goes on with."""

from uuid import UUID

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.names import names
from greenroom.sessions.storage.finder import find_listed
from greenroom.sessions.thread_list import Query, thread_page


def last_session(home: str, cwd: str | None) -> ConversationId:
    """Return the conversation that was written to last, of a directory unless `cwd` is `None`.

    Raises `SessionUnknownError`: a run that is to go on with something does not begin anew without saying so.
    """
    query = Query(sort="updated_at", cwds=frozenset() if cwd is None else frozenset({cwd}))
    found, _ = thread_page(home, query, 1)
    if not found:
        where = "" if cwd is None else f" of {cwd} (`--all` looks for one of any directory)"
        raise SessionUnknownError(f"there is no saved conversation{where}")
    return found[0].id


def named_session(home: str, session: str) -> ConversationId:
    """Return the conversation with an id or a name, of several the newest. Raises `SessionUnknownError`."""
    try:
        conversation_id = ConversationId(str(UUID(session)))
    except ValueError:
        named = [known for known, name in names(Reader(home)).items() if name == session]
        existing = [
            ConversationId(known) for known in sorted(named, reverse=True) if find_listed(home, ConversationId(known))
        ]
        if not existing:
            raise SessionUnknownError(f"no saved conversation has the id or the name {session}") from None
        return existing[0]
    if find_listed(home, conversation_id) is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    return conversation_id
