"""How is a result shown on a terminal? One module per command that prints one.

Readable at 80 columns, without colour, and in ASCII; a file or a pipe gets the same text.
"""
