"""Promises about our own table of `config.toml`."""

from typing import TYPE_CHECKING

import pytest

from greenroom.config.defaults import IDLE_WORKERS, Limits
from greenroom.config.tables.greenroom import CredentialSettings, GreenroomTable, credential_settings, server_settings
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.options import ServerOptions

if TYPE_CHECKING:
    from tests.config.conftest import Home


def _fault(home: "Home", text: str) -> str:
    home.write(text)
    with pytest.raises(ConfigError) as caught:
        server_settings(str(home.path), [])
    return str(caught.value)


def test_without_a_file_the_defaults_hold(home: "Home") -> None:
    assert server_settings(str(home.path), []).table == GreenroomTable(engine=None, idle_workers=2, events="auto")


def test_an_absent_table_and_an_empty_one_mean_the_same() -> None:
    """The server does not read the file where it says nothing of Greenroom's own."""
    table, options = GreenroomTable(), ServerOptions("/home", "fork")
    assert (table.limits(), table.idle_workers) == (Limits(), IDLE_WORKERS)
    assert (options.limits, options.idle_workers, options.session_tools, options.events) == (
        table.limits(),
        table.idle_workers,
        table.session_tools,
        table.events,
    )
    credentials = CredentialSettings()
    assert (options.preferred_auth, options.credentials_store) == (
        credentials.preferred_auth_method,
        credentials.cli_auth_credentials_store,
    )
    assert (options.forced_login, options.forced_workspaces) == (
        credentials.forced_login_method,
        credentials.forced_chatgpt_workspace_id,
    )


def test_table_is_read(home: "Home") -> None:
    home.write('[greenroom]\nengine = "spawn"\nidle_workers = 0\nevents = "off"\n')
    assert server_settings(str(home.path), []).table == GreenroomTable(engine="spawn", idle_workers=0, events="off")


def test_command_line_wins(home: "Home") -> None:
    home.write("[greenroom]\nidle_workers = 0\n")
    assert server_settings(str(home.path), ["greenroom.idle_workers=7"]).table.idle_workers == 7


def test_other_faults_of_the_file_do_not_stop_the_server(home: "Home") -> None:
    home.write("model = 5\n[greenroom]\nidle_workers = 1\n")
    assert server_settings(str(home.path), []).table.idle_workers == 1


def test_unknown_key_is_refused(home: "Home") -> None:
    fault = _fault(home, "[greenroom]\nidle_worker = 3\n")
    allowed = ", ".join(f"`{name}`" for name in GreenroomTable.__struct_fields__)
    assert fault == f"unknown field `idle_worker`, expected one of {allowed}\nin `greenroom`"


def test_preferred_credential_is_read_beside_the_table(home: "Home") -> None:
    home.write('preferred_auth_method = "apikey"\n')
    assert server_settings(str(home.path), []).credentials.preferred_auth_method == "apikey"


def test_what_is_forced_is_read_beside_the_table(home: "Home") -> None:
    assert credential_settings(str(home.path)) == CredentialSettings()
    home.write('forced_login_method = "chatgpt"\nforced_chatgpt_workspace_id = "acc-1"\n')
    assert credential_settings(str(home.path)) == CredentialSettings(
        forced_login_method="chatgpt", forced_chatgpt_workspace_id=("acc-1",)
    )
    home.write('forced_chatgpt_workspace_id = ["acc-1", "acc-2"]\n')
    assert credential_settings(str(home.path)).forced_chatgpt_workspace_id == ("acc-1", "acc-2")
    assert "forced_login_method" in _fault(home, 'forced_login_method = "magic"\n')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("greenroom = 5", "invalid type: integer `5`, expected a table\nin `greenroom`"),
        (
            "[greenroom]\nidle_workers = 65",
            "invalid value: integer `65`, expected at most 64\nin `greenroom.idle_workers`",
        ),
        (
            "[greenroom]\nengine = 'ray'",
            "unknown variant `ray`, expected one of `fork`, `spawn`\nin `greenroom.engine`",
        ),
    ],
)
def test_fault_names_the_whole_key(home: "Home", text: str, fault: str) -> None:
    assert _fault(home, text) == fault


def test_conversations_check_the_table_too(home: "Home") -> None:
    with pytest.raises(ConfigError, match="unknown field `nope`"):
        home.resolve("[greenroom]\nnope = 1\n")
