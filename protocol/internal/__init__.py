"""The messages between the processes of one host."""
