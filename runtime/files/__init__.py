"""Files and directories that several processes use: locks, links, and rewriting as a whole."""
