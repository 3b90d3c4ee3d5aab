"""The actor that hosts one conversation, and what it does. Its only public face is `greenroom.workers.entry`."""
