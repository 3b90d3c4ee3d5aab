"""The Model Context Protocol: requests as they are read and results as they are written, for every revision."""
