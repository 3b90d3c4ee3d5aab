"""Talking to a model over the Responses API: the stream, its events, the retries, and one thin HTTP client."""
