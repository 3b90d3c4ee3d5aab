"""An attempt to log in or out by a command: its exit status, its messages to the user, and the user's browser."""

import asyncio
import os
import sys
from collections.abc import Coroutine

from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.search_path import absolute_path


def attempt(work: Coroutine[None, None, int], complaint: str) -> int:
    """Run it to its exit status; a failure is told after `complaint`."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130
    except TimeoutError as error:
        tell(f"{complaint}: {error or 'timed out'}")
    except OSError as error:
        tell(f"{complaint}: {error.strerror}")
    except GreenroomError as error:
        tell(f"{complaint}: {error}")
    return 1


def tell(text: str) -> None:
    """Print a line for the user to standard error."""
    sys.stderr.write(f"{text}\n")


def open_browser(url: str) -> None:
    """Open an address in the user's browser."""
    import webbrowser

    # The working directory may be a workspace, whose files the model writes: no browser is looked for there.
    os.environ["PATH"] = absolute_path(os.environ.get("PATH"))
    webbrowser.open(url)
