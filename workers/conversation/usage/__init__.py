"""What a conversation uses, in tokens and in money."""
