"""Chat completions: requests, and answers as the events of the Responses API. Free of I/O."""
