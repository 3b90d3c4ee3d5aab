"""The process that a client starts, and those it keeps beside it: front end, nursery, auth broker, command line."""
