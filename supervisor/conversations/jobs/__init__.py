"""Work outside of conversations, each in a worker of its own."""
