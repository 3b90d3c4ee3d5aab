"""Metrics, timings and the context of traces. Free of I/O."""
