"""The command line: what people run, in processes of their own."""
