"""Where requests go, and how the body of an answer becomes payloads."""
