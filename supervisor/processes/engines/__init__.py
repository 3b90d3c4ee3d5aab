"""The ways to start processes: forked, or each a fresh interpreter."""
