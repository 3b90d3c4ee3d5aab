"""The model client: streams, events, retries, and one thin HTTP client."""
