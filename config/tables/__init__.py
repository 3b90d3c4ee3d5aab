"""Tables of `config.toml` that stand for one thing each, with their types and defaults."""
