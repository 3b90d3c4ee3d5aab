"""The process that a client starts, and those it keeps beside it: front end, fork server, auth broker, command line."""
