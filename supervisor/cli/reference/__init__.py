"""What the command line says of itself: as a table, from which completions and manual pages are made."""
