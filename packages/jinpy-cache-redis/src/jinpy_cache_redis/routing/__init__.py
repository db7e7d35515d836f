"""Which server a command goes to, and what happens when that server cannot answer it."""
