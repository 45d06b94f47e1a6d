"""How can somebody without Logitmus see a fault? As a Python script that needs only the framework.

`script` fills a template with the exact bits of a problem and with the criterion that the judge applies, `literals`
writes values as Python literals, and `calls` writes the call itself. Text from a run's file enters a script only as a
literal or as a comment.
"""
