"""What crosses a process boundary or the client's pipe. Free of I/O; imports no other package of Greenroom."""
