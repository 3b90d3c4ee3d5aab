"""What crosses a process boundary or the client's pipe. Free of I/O; imports nothing of ours."""
