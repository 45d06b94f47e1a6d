"""With which versions of which packages does a worker run? Isolated environments: created once, kept in a cache.

`spec` parses what a person requests, `installer` resolves and installs it with uv or pip, `environments` keeps the
results in folders named by their content, and `releases` lists the versions of a package that exist.
"""
