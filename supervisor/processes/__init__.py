"""The processes of a host: how they are started, watched, replaced and ended."""
