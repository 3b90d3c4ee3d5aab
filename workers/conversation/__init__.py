"""One conversation: its history, its turns, and what it tells its clients."""
