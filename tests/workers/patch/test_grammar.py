"""The grammar that models are held to is that of the language."""

import pytest

from greenroom.workers.patch import language
from greenroom.workers.patch.grammar import LARK


@pytest.mark.parametrize("name", ["BEGIN", "END", "ADD", "DELETE", "UPDATE", "MOVE", "END_OF_FILE", "HEADER"])
def test_the_grammar_writes_every_marker_as_the_reader_reads_it(name: str) -> None:
    assert f'"{getattr(language, name)}"' in LARK
