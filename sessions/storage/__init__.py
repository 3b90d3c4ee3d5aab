"""Session files on disk, or where a worker of another machine has them: names, locks, forms, and their one writer."""
