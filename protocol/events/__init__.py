"""The events that a conversation sends to its clients, as found in `msg` of `codex/event`."""
