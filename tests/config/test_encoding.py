"""Every text that people edit is read with a byte order mark and without, and in another encoding refused by name."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.record import StoreError
from greenroom.broker.storage.file import FileStore
from greenroom.config.document import read_document
from greenroom.config.encoding import EncodingError, decode_text
from greenroom.config.home import load_dotenv
from greenroom.config.reader import Reader
from greenroom.config.saved_prompts import saved_prompt
from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.errors import GreenroomError
from greenroom.workers.conversation.prompt.project_doc import Search, read_project_doc
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs import saved_config, set_default_model

MARK: Final = "\ufeff"


def _config(home: Path) -> object:
    return read_document(str(home / "config.toml"))


def _dotenv(home: Path) -> object:
    return load_dotenv(str(home), {})


def _instructions(home: Path) -> object:
    overrides = ConversationOverrides(config={"model_instructions_file": "text.md"}, cwd=str(home))
    return resolve_settings(str(home), (), overrides, str(home), {}).base_instructions


def _compaction(home: Path) -> object:
    overrides = ConversationOverrides(config={"experimental_compact_prompt_file": "text.md"}, cwd=str(home))
    return resolve_settings(str(home), (), overrides, str(home), {}).compact_prompt


def _prompt(home: Path) -> object:
    return saved_prompt(str(home), "text")


def _project(home: Path) -> object:
    doc = read_project_doc(Reader(str(home)), str(home / "none"), [str(home)], Search(fallback_names=("text.md",)))
    if doc.notes:
        raise EncodingError(doc.notes[0])
    return doc.text


def _login(home: Path) -> object:
    record = FileStore(str(home)).read_once()
    return None if record is None else record.encoded()


def _saved(home: Path) -> object:
    return asyncio.run(saved_config.run(b"{}", Setting(str(home), str(home))))


def _model(home: Path) -> object:
    asyncio.run(set_default_model.run(b'{"model":"new"}', Setting(str(home), str(home))))
    return (home / "config.toml").read_text("utf-8-sig")


READERS: Final[dict[str, tuple[str, str, Callable[[Path], object]]]] = {
    "settings": ("config.toml", 'model = "ä"\n', _config),
    "settings as clients see them": ("config.toml", 'model = "ä"\n', _saved),
    "settings that a client changes": ("config.toml", '# ä\nmodel = "old"\n', _model),
    "variables": (".env", "NAME=ä\n", _dotenv),
    "instructions": ("text.md", "Be brief, ä.", _instructions),
    "prompt of the compaction": ("text.md", "Be brief, ä.", _compaction),
    "saved prompt": ("prompts/text.md", "---\ndescription: ä\n---\nDo $1.", _prompt),
    "instructions of a project": ("text.md", "Be brief, ä.", _project),
    "login": ("auth.json", json.dumps({"OPENAI_API_KEY": "k"}), _login),
}
"""What is read → the file, a content, and what reads it."""


def _written(base: Path, name: str, content: bytes) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return base


@pytest.mark.parametrize("what", READERS)
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, what: str) -> None:
    name, text, read = READERS[what]
    plain = read(_written(tmp_path, name, text.encode()))
    assert plain
    assert read(_written(tmp_path, name, (MARK + text).encode())) == plain


@pytest.mark.parametrize("what", sorted(READERS.keys() - {"saved prompt"}))
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused_by_its_name(tmp_path: Path, what: str, encoding: str) -> None:
    name, text, read = READERS[what]
    with pytest.raises((GreenroomError, EncodingError, StoreError), match=r"UTF-(16|32).*save it as UTF-8"):
        read(_written(tmp_path, name, text.encode(encoding)))


def test_a_saved_prompt_in_another_encoding_is_none(tmp_path: Path) -> None:
    assert _prompt(_written(tmp_path, "prompts/text.md", "Do it.".encode("utf-16"))) is None


def test_the_mark_stays_where_a_client_changes_the_settings(tmp_path: Path) -> None:
    _model(_written(tmp_path, "config.toml", (MARK + 'model = "old"\n').encode()))
    assert (tmp_path / "config.toml").read_bytes() == (MARK + 'model = "new"\n').encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_every_text_is_read_as_it_was_written(text: str) -> None:
    assert decode_text(text.encode()) == decode_text((MARK + text).encode()) == text


@given(st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1))
def test_latin_text_in_another_encoding_is_always_seen(text: str) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(EncodingError):
            decode_text(text.encode(encoding))
