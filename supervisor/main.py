"""The program. What can be started before the command line is read is started first."""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the program and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] in (["mcp-server"], ["app-server"]):
        from greenroom.supervisor.startup.attach import join_by

        if (status := join_by(words[0], words[1:])) is not None:
            return status
    from greenroom.supervisor.startup.prelaunch import Prelaunch

    prelaunch = None if _may_join_host(words) else Prelaunch.launch(words)
    if prelaunch is not None:
        gc.disable()  # imports make almost no garbage; a server collects it again once all of them are done
    from greenroom.supervisor.cli import command_line  # the fork server need not wait for this import

    try:
        return command_line.run(words, prelaunch)
    except SystemExit:  # invalid arguments, or a request for help
        if prelaunch is not None:
            prelaunch.abort()
        raise


def _may_join_host(words: "Sequence[str]") -> bool:
    """Tell whether a run is likely to hand its turn over: then a fork server would be started in vain."""
    if words[:1] != ["exec"]:
        return False
    from greenroom.supervisor.startup.attach import FLAG, home_of, mode_in_file

    home = home_of()
    return any(word.startswith(FLAG) for word in words) or (home is not None and mode_in_file(home) != "off")


if __name__ == "__main__":
    sys.exit(main())
