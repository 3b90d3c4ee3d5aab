"""Closed sets of values that settings, the command line, processes and reports share."""

from typing import Literal, TypeAlias

EngineName: TypeAlias = Literal["fork", "spawn"]
"""How processes are started: forked from the fork server, or spawned as fresh interpreters."""
EventMode: TypeAlias = Literal["full", "progress", "off"]
"""Which events a client gets while a turn runs."""
EventSetting: TypeAlias = Literal["auto", "full", "progress", "off"]
"""`auto` means `full`, or `off` if the client cannot handle events."""
EventForm: TypeAlias = Literal["current", "baseline"]
"""The form of events that differ between releases; `baseline` is that of August 2025."""
PreferredAuth: TypeAlias = Literal["chatgpt", "apikey"]
"""Which credential is used if there are two."""
CredentialsStore: TypeAlias = Literal["file", "keyring", "auto", "ephemeral"]
"""Where credentials are kept; `ephemeral` is in memory only."""
ForcedLogin: TypeAlias = Literal["chatgpt", "api"]
"""The only permitted way to log in."""
