"""Confines the commands of the model to what the sandbox policy allows.

What enforces what, on Linux (all but the last are in `rules`):

* `landlock`: which files can be read and written, TCP, abstract sockets, signals, and all access to other processes'
  memory, environment and descriptors. It has rights but no exceptions, so an exception is made by naming all other
  entries (`grants`).
* `mounts`: what is protected or hidden below a writable directory, and what Landlock does not see (modes, owners,
  times). Only for commands that may write. Needs namespaces; without them writable directories are granted entry by
  entry.
* `seccomp`: sockets, tracing, namespaces, and parts of the kernel that no command needs.
* `capabilities`: root's powers over the machine.
* `monitor`: no descendant of a command escapes or outlives it.
"""
