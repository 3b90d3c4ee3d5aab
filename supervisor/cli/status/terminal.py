"""The output of pages: a stream of lines, or a terminal in which one page is redrawn in place."""

import contextlib
import io
import os
import select
import signal
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, Literal, NoReturn, TextIO, TypeAlias

from rich.console import Console, ConsoleDimensions, Group
from rich.text import Text

_NO_WRAP: Final = "\033[?7l"
_WRAP: Final = "\033[?7h"
"""Whether the terminal wraps lines. Off, a page that was made for a wider window does no harm."""
_LOCAL_MODES: Final = 3
"""Place of the local modes among a terminal's attributes (termios(3))."""
_STOPS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_QUIT: Final = b"qQ"

_Modes: TypeAlias = list[int | list[bytes | int]]
"""A terminal's attributes, as `termios` has them."""


class _Console(Console):
    """Never changes a text, and leaves a closed pipe to its caller."""

    def __init__(self, out: TextIO) -> None:
        terminal = out.isatty()
        color: Literal["auto"] | None = "auto" if terminal and "NO_COLOR" not in os.environ else None
        super().__init__(
            file=out, force_terminal=terminal, color_system=color, markup=False, emoji=False, highlight=False
        )

    def on_broken_pipe(self) -> NoReturn:
        """Raise `BrokenPipeError`, where a console would exit."""
        raise BrokenPipeError


class Printer:
    """Writes lines one below the other, in colours only on a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")
        self._console = _Console(out)

    @property
    def columns(self) -> int | None:
        """Cells of a line; `None` where there is no limit."""
        given = os.environ.get("COLUMNS", "")
        if given.isdigit() and int(given):
            return int(given)
        return os.get_terminal_size(self._out.fileno()).columns or None if self._out.isatty() else None

    def print(self, lines: Sequence[Text]) -> None:
        """Write a page."""
        self._console.print(*lines, sep="\n", soft_wrap=True)
        self._out.flush()

    def suspend(self) -> None:
        """Suspend the process until it is continued."""
        os.kill(os.getpid(), signal.SIGSTOP)


class Screen(Printer):
    """A whole terminal. Enter it with `shown`; the previous content comes back afterwards."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._modes: _Modes | None = None

    @property
    def columns(self) -> int:
        """Cells of a line."""
        return os.get_terminal_size(self._out.fileno()).columns or 80

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Take over the terminal, and restore it in any case."""
        self._enter()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # it may be gone
                self._leave()

    def print(self, lines: Sequence[Text]) -> None:
        """Replace the previous page, as far as the new one fits."""
        height = os.get_terminal_size(self._out.fileno()).lines or 24
        shown = list(lines)
        if len(shown) > height:
            hidden = len(shown) - height + 1
            shown = [*shown[: height - 1], Text(f"… {hidden} more lines", "dim")]
        self._console.size = ConsoleDimensions(self.columns, height)
        self._console.update_screen(Group(*shown))

    def suspend(self) -> None:
        """Restore the terminal while the process is suspended."""
        self._leave()
        super().suspend()
        self._enter()

    def _enter(self) -> None:
        self._modes = _take_keys()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._write(_NO_WRAP)

    def _leave(self) -> None:
        if self._modes is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._modes)
        self._write(_WRAP)
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)

    def _write(self, sequence: str) -> None:
        self._out.write(sequence)
        self._out.flush()


class KeyListener:
    """Ends the wait for the next page on a signal or a key. Enter it with `handled`."""

    def __init__(self) -> None:
        self.stopped = False
        """Whether the end was requested."""
        self._suspended = False
        self._reader = -1

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals, and restore the handlers at the end."""
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._take) for number in (*_STOPS, signal.SIGTSTP, signal.SIGWINCH)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(self._reader)
            os.close(writer)

    def wait(self, seconds: float) -> None:
        """Wait until the time is over, the terminal is resized, or the end is requested."""
        keys = [sys.stdin.fileno()] if _is_terminal() else []
        ready = select.select([self._reader, *keys], [], [], seconds)[0]
        if self._reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 64)
        if keys and keys[0] in ready:
            pressed = os.read(keys[0], 64)
            self.stopped = self.stopped or not pressed or any(key in _QUIT for key in pressed)

    def take_suspension(self) -> bool:
        """Return whether the process is to be suspended, which the caller does."""
        suspended, self._suspended = self._suspended, False
        return suspended

    def _take(self, number: int, _: FrameType | None) -> None:
        self.stopped = self.stopped or number in _STOPS
        self._suspended = self._suspended or number == signal.SIGTSTP


def _take_keys() -> _Modes | None:
    """Read keys one by one and without echo while a page is shown; return the previous modes."""
    if not _is_terminal():
        return None
    descriptor = sys.stdin.fileno()
    before: _Modes = termios.tcgetattr(descriptor)
    quiet = [*before]
    local = before[_LOCAL_MODES]
    quiet[_LOCAL_MODES] = local & ~(termios.ECHO | termios.ICANON) if isinstance(local, int) else local
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    return before


def _is_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
