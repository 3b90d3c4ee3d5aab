"""Keeps the commands of the model where the sandbox policy wants them.

What holds what, on Linux:

* `landlock`: which files can be read and written, TCP, abstract sockets, signals, and all access to other processes'
  memory, environment and descriptors. It can allow but not except, so exceptions are made by naming all the rest
  (`grants`).
* `mounts`: what is protected or hidden below a writable directory, and what Landlock does not see (modes, owners,
  times). Only for commands that may write. Needs namespaces; without them writable directories are given in pieces.
* `seccomp`: sockets, tracing, namespaces, and parts of the kernel that no command needs.
* `capabilities`: the powers of root over the machine.
* `guardian`: that nothing a command starts escapes or stays.
"""
