"""Settings of a conversation: schema, layers and the values and texts that ship as data files."""
