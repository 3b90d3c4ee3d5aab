"""What stands between a client and the conversations: transports, and a folder for each protocol."""
