"""How is a result shown on a terminal? A module for each command.

Readable at 80 columns, without colour, and in ASCII; a file or a pipe gets the same text.
"""
