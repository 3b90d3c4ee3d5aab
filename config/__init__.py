"""Settings of a conversation: schema, layers, and the default values and texts in data files."""
