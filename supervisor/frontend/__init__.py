"""The front end, between a client and the conversations: transports, and a directory for each protocol."""
