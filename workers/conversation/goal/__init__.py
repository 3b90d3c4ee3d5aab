"""The goal of a conversation: what it is, what keeps it, and the texts about it."""
