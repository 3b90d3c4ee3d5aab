"""A node: the process that runs workers on this machine for a host on another one."""
