"""The user's rules for commands: what they mean, how they are written, and where they are found."""
