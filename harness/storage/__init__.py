"""What does the file of a run hold?

One SQLite file per run: the problems, the subjects as they described themselves, the environments, and every result to
the bit. Judgements are not stored, because they can be derived again at any time, by this version or a later version.
`store` reads and writes the file, `encoding` maps values to JSON and blobs, `file_format` recognises the file and its
version, and `merge` unites the shards of a run.
"""
