"""The name by which the model's servers know the program. Imported first, so it imports nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ORIGINATOR = "codex_cli_rs"
"""The name that the model's servers recognize."""
ORIGINATOR = "CODEX_INTERNAL_ORIGINATOR_OVERRIDE"
"""The variable that replaces it."""


def originator(environment: "Mapping[str, str]") -> str:
    """Return the first component of the user agent."""
    return environment.get(ORIGINATOR) or DEFAULT_ORIGINATOR
