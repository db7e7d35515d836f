"""One entry: its key, its lifetime, its stored form, and what each operation does to it.

Pure functions and small frozen classes, without I/O, clock or lock.
"""
