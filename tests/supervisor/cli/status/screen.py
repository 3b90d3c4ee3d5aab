"""A terminal as a person sees it: a pseudo-terminal, and what is on its screen after all that was written to it."""

import fcntl
import os
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.support import forked

_SEQUENCE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])")


class Screen:
    """Knows the few sequences that we use, and fails at all others."""

    def __init__(self, master: int, columns: int, lines: int) -> None:
        self._master = master
        self.columns, self.lines = columns, lines
        self.alternate = False
        self.cursor_shown = True
        self.wraps = True
        self.raw = ""
        self._rest = ""
        self._clear()

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, as the user does with its window."""
        self.columns, self.lines = columns, lines
        self._clear()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def text(self) -> list[str]:
        """Return what is on the screen, line by line."""
        return ["".join(row).rstrip() for row in self._cells]

    def until(self, seen: Callable[["Screen"], bool], within: float = 15.0) -> list[str]:
        """Read on until something is seen, and return what is on the screen then."""
        deadline = time.monotonic() + within
        while not seen(self):
            assert time.monotonic() < deadline, "\n".join(self.text())
            if not select.select([self._master], [], [], deadline - time.monotonic())[0]:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end is closed everywhere
                assert seen(self), "\n".join(self.text())
                break
            self._take(data.decode())
        return self.text()

    def has(self, words: str) -> Callable[["Screen"], bool]:
        """Return what sees these words on the screen."""
        return lambda screen: any(words in line for line in screen.text())

    def _clear(self) -> None:
        self._row = self._column = 0
        self._cells = [[" "] * self.columns for _ in range(self.lines)]

    def _take(self, text: str) -> None:
        self.raw += text
        text, self._rest = self._rest + text, ""
        cut = text.rfind("\x1b")
        if cut >= 0 and not _SEQUENCE.match(text, cut):
            text, self._rest = text[:cut], text[cut:]
        place = 0
        for found in _SEQUENCE.finditer(text):
            self._print(text[place : found.start()])
            self._obey(found[1], found[2])
            place = found.end()
        self._print(text[place:])

    def _print(self, text: str) -> None:
        for character in text:
            match character:
                case "\r":
                    self._column = 0
                case "\n":
                    assert not self.alternate, "it scrolls"
                    self._row = min(self._row + 1, self.lines - 1)
                case _ if self._column < self.columns:
                    self._cells[self._row][self._column] = character
                    self._column += 1
                case _:
                    assert not self.wraps or not self.alternate, "a line is too long"

    def _obey(self, argument: str, command: str) -> None:
        match argument, command:
            case "?1049", "h" | "l":
                self.alternate = command == "h"
                self._clear()
            case "?25", "h" | "l":
                self.cursor_shown = command == "h"
            case "?7", "h" | "l":
                self.wraps = command == "h"
            case _, "H":
                row, column = (int(number) for number in (argument or "1;1").split(";"))
                self._row, self._column = min(row, self.lines) - 1, min(column, self.columns) - 1
            case "", "K":
                self._cells[self._row][self._column :] = [" "] * (self.columns - self._column)
            case "", "J":
                self._obey("", "K")
                for row in range(self._row + 1, self.lines):
                    self._cells[row] = [" "] * self.columns
            case _, "m":
                pass
            case _:
                raise AssertionError(f"unknown sequence {argument}{command}")


@contextmanager
def on_a_terminal(
    main: forked.Main, environment: Mapping[str, str], columns: int = 80, lines: int = 24
) -> Iterator[tuple[Screen, forked.Forked]]:
    """Run a program on a terminal of its own."""
    master, slave = os.openpty()
    screen = Screen(master, columns, lines)
    screen.resize(columns, lines)

    def on_it() -> int | None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        return main()

    process = forked.Forked(on_it, environment, terminal=slave)
    os.close(slave)
    try:
        yield screen, process
    finally:
        process.close()
        os.close(master)
