"""The form of the lines on standard error, as the environment names it. Imported early, so it imports nothing slow."""

from itertools import zip_longest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greenroom.protocol.choices import LogFormat

VARIABLE = "GREENROOM_LOG_FORMAT"
"""By it all processes of a server learn the form."""
OPTION = "--log-format"
_SHORTEST = "--log-f"
"""The option may be abbreviated to this."""
FORMS: "tuple[LogFormat, ...]" = ("text", "json")


def format_in(environment: "Mapping[str, str]") -> "LogFormat":
    """Return the form that an environment names; text where it names none."""
    return _named(environment.get(VARIABLE, "").lower()) or "text"


def format_on(words: "Sequence[str]") -> "LogFormat | None":
    """Return the form that a command line names, which has not been read yet; `None` where it names none."""
    form = None
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        option, equals, value = word.partition("=")
        if option.startswith(_SHORTEST) and OPTION.startswith(option):
            form = _named(value if equals else following)
    return form


def _named(text: str) -> "LogFormat | None":
    return next((form for form in FORMS if form == text), None)
