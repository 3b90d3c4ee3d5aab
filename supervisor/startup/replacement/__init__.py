"""A new host takes over from the one that runs, with its sockets, its lock, its conversations and its clients."""
