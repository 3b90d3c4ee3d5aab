"""Where credentials are stored: a file, the keyring, or memory."""
