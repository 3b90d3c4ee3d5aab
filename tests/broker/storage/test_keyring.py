"""The system's keyring takes the place of the file where that is wanted, and never hangs anybody."""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import keyring
import pytest

from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.storage.file import FileStore
from greenroom.broker.storage.keyring import REREAD, KeyringStore
from greenroom.broker.storage.keyring_entry import SERVICE, TIMEOUT, Vault
from greenroom.broker.storage.locks import STORE
from greenroom.broker.storage.memory import MemoryStore
from greenroom.broker.storage.store import open_store
from greenroom.protocol.choices import CredentialsStore
from greenroom.protocol.internal.broker.answers import AuthError
from tests.broker.homes import EXPIRED, Parts, read, tokens, write
from tests.broker.issuer import MockIssuer
from tests.broker.keyrings import ABSENT, LOCKED, PLACE, SHARED, MemoryKeyring
from tests.broker.stages import Stage, play
from tests.support.loop import on_loop

KEY = AuthRecord.of_key("sk-1")


@pytest.fixture
def backend() -> Iterator[MemoryKeyring]:
    """A keyring of this process."""
    before, made = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    made.open.set()
    keyring.set_keyring(before)


def store(home: Any, *, reads_file: bool = False, timeout_s: float = TIMEOUT, reread_s: float = REREAD) -> KeyringStore:
    return KeyringStore(str(home), Vault(str(home), timeout_s=timeout_s), reads_file=reads_file, reread_s=reread_s)


def test_the_entry_is_the_one_that_other_programs_look_for(tmp_path: Any, backend: MemoryKeyring) -> None:
    """By the real path of the home, as compact JSON."""
    home, link = tmp_path / "home", tmp_path / "link"
    home.mkdir()
    link.symlink_to(home)
    store(link).replace(KEY)
    account = f"cli|{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
    assert backend.entries == {("Codex Auth", account): '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1"}'}
    found = store(home).read_once()
    assert found is not None
    assert found.openai_api_key == "sk-1"


def test_a_save_removes_the_file_and_a_removal_both(tmp_path: Any, backend: MemoryKeyring) -> None:
    """Scenario 41."""
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-old"})
    kept = store(tmp_path)
    assert kept.read_once() is None, "the file is none of its business"
    kept.replace(KEY)
    assert os.listdir(tmp_path) == []
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-new"})
    assert kept.remove()
    assert os.listdir(tmp_path) == []
    assert backend.entries == {}
    assert not kept.remove()


def test_a_file_that_stays_does_not_matter(tmp_path: Any, backend: MemoryKeyring) -> None:
    (tmp_path / "auth.json").mkdir()
    store(tmp_path).replace(KEY)
    assert len(backend.entries) == 1


@pytest.mark.parametrize("failure", [LOCKED, ABSENT, ValueError("hunter2")])
def test_what_goes_wrong_is_told_without_the_secret(tmp_path: Any, backend: MemoryKeyring, failure: Exception) -> None:
    backend.failure = failure
    kept = store(tmp_path)
    with pytest.raises(StoreError, match=r"^failed to load CLI auth from keyring: the keyring failed") as unread:
        kept.read_once()
    with pytest.raises(OSError, match="failed to write OAuth tokens to keyring: the keyring failed") as unwritten:
        kept.replace(KEY)
    with pytest.raises(OSError, match="failed to delete auth from keyring: the keyring failed"):
        kept.remove()
    assert "hunter2" not in f"{unread.value}{unwritten.value}"


def test_an_entry_that_is_no_record_is_told_so(tmp_path: Any, backend: MemoryKeyring) -> None:
    backend.entries[SERVICE, Vault(str(tmp_path)).account] = "sk-secret"
    with pytest.raises(StoreError, match=r"^failed to deserialize CLI auth from keyring") as caught:
        store(tmp_path).read_once()
    assert "sk-secret" not in str(caught.value)


def test_a_keyring_that_forgets_is_found_out(tmp_path: Any, backend: MemoryKeyring) -> None:
    """The file is still there then."""
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-old"})
    backend.forgets = True
    with pytest.raises(OSError, match="did not keep"):
        store(tmp_path).replace(KEY)
    assert read(str(tmp_path)) == {"OPENAI_API_KEY": "sk-old"}


def test_a_keyring_that_hangs_is_given_up(tmp_path: Any, backend: MemoryKeyring) -> None:
    """And what is asked meanwhile fails at once, so that an old write cannot follow a new one."""
    backend.open.clear()
    kept = store(tmp_path, timeout_s=0.05)
    with pytest.raises(OSError, match=r"did not answer within 0\.05 s"):
        kept.replace(KEY)
    hung = kept._vault._hung
    assert hung is not None
    with pytest.raises(StoreError, match="did not answer"):
        kept.read_once()
    assert kept._vault._hung is hung, "it was not even asked"
    backend.open.set()
    hung.join()
    found = kept.read_once()
    assert found is not None
    assert found.openai_api_key == "sk-1"


def test_without_the_extra_there_is_no_keyring(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(StoreError, match="the extra `keyring` of greenroom is not installed"):
        open_store(str(tmp_path), "keyring").read_once()
    assert isinstance(open_store(str(tmp_path), "auto"), FileStore)


def test_auto_falls_back_to_the_file(tmp_path: Any, backend: MemoryKeyring, caplog: pytest.LogCaptureFixture) -> None:
    """Scenario 41: aloud, and for the whole life of the store."""
    backend.failure = LOCKED
    kept = open_store(str(tmp_path), "auto")
    assert "credentials are kept in auth.json" in caplog.text
    backend.failure = None
    kept.replace(KEY)
    assert backend.entries == {}
    assert read(str(tmp_path))["OPENAI_API_KEY"] == "sk-1"


def test_auto_takes_a_login_over_from_the_file(tmp_path: Any, backend: MemoryKeyring) -> None:
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-old"})
    kept = open_store(str(tmp_path), "auto")
    found = kept.read_once()
    assert found is not None
    assert found.openai_api_key == "sk-old"
    kept.replace(KEY)
    assert os.listdir(tmp_path) == []
    assert len(backend.entries) == 1


def test_the_kinds_of_store(tmp_path: Any, backend: MemoryKeyring) -> None:
    home = str(tmp_path)
    kinds: tuple[CredentialsStore, ...] = ("file", "keyring", "auto", "ephemeral")
    assert [type(open_store(home, kind)) for kind in kinds] == [FileStore, KeyringStore, KeyringStore, MemoryStore]


def test_what_is_kept_in_memory_is_gone_with_it(tmp_path: Any) -> None:
    kept = open_store(str(tmp_path), "ephemeral")
    before = kept.facts()
    kept.replace(KEY)
    assert asyncio.run(kept.read()) == kept.read_once() == KEY
    assert kept.facts() != before
    assert kept.remove()
    assert not kept.remove()
    assert open_store(str(tmp_path), "ephemeral").read_once() is None
    assert os.listdir(tmp_path) == []


def test_changes_are_seen_by_the_next_question_or_a_little_later(tmp_path: Any, backend: MemoryKeyring) -> None:
    """K14: those of our own instances at once, those of other programs when the entry is read again."""

    @on_loop
    async def scene() -> None:
        seldom, often = (Parts(str(tmp_path), store=store(tmp_path, reread_s=each)) for each in (1e9, 1e-9))
        other = Parts(str(tmp_path), store=store(tmp_path))
        assert isinstance(await seldom.get(), AuthError)
        await other.manager.log_in(lambda found: AuthRecord.of_key("sk-2", found))
        assert (await seldom.snapshot()).token == (await often.snapshot()).token == "sk-2"
        os.utime(tmp_path / STORE, (1, 1))  # so long ago that a further change is sure to show
        await seldom.snapshot()
        (entry,) = backend.entries
        backend.entries[entry] = KEY.encoded().decode()
        assert (await seldom.snapshot()).token == "sk-2"
        assert (await often.snapshot()).token == "sk-1"

    scene()


def test_a_keyring_that_is_locked_later_takes_nothing_back(
    tmp_path: Any, backend: MemoryKeyring, caplog: pytest.LogCaptureFixture
) -> None:
    """A screen that is locked ends no turn; a keyring that was never open gives nothing."""

    @on_loop
    async def scene() -> None:
        store(tmp_path).replace(KEY)
        parts = Parts(str(tmp_path), store=store(tmp_path, reread_s=1e-9))
        await parts.snapshot()
        backend.failure = LOCKED
        for _ in range(3):
            assert (await parts.snapshot()).token == "sk-1"
        assert caplog.text.count("going on with what the keyring gave before") == 1
        refused = await Parts(str(tmp_path), store=store(tmp_path)).get()
        assert isinstance(refused, AuthError)
        assert refused.code == "store_malformed"
        assert str(refused.user_text).startswith("failed to load CLI auth from keyring")
        backend.failure = None
        (entry,) = backend.entries
        backend.entries[entry] = AuthRecord.of_key("sk-2").encoded().decode()
        assert (await parts.snapshot()).token == "sk-2"

    scene()


def test_tokens_are_refreshed_out_of_the_keyring(tmp_path: Any, backend: MemoryKeyring) -> None:
    @on_loop
    async def scene() -> None:
        async with MockIssuer() as issuer:
            kept = store(tmp_path)
            kept.replace(AuthRecord.read(json.dumps(tokens(issuer.grant(), EXPIRED)).encode()))
            parts = Parts(str(tmp_path), issuer, store=kept)
            assert (await parts.snapshot()).mode == "chatgpt"
            found = kept.read_once()
            assert found is not None
            assert found.tokens is not None
            assert {found.tokens.refresh_token} == issuer.live

    scene()


def test_a_broker_keeps_a_login_in_the_keyring(tmp_path: Any) -> None:
    """A process of its own, with the keyring that its environment names; the next broker finds the login there."""
    environment = {"PYTHON_KEYRING_BACKEND": SHARED, PLACE: str(tmp_path / "keyring")}
    home = tmp_path / "home"
    home.mkdir()

    async def scene(stage: Stage) -> None:
        assert (await stage.link.login_api_key("sk-1")).mode == "apikey"
        assert not (home / "auth.json").exists()
        stage.house.kill()
        stage.restart()
        worker = await stage.channel("w")
        assert (await worker.get_auth()).token == "sk-1"
        assert (await stage.link.logout()).removed
        assert json.loads((tmp_path / "keyring").read_text()) == {}

    play(home, scene, None, environment=environment, spec_fields={"store": "keyring"})
