"""The history of a conversation, as its requests need it."""
