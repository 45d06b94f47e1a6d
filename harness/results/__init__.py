"""What follows from the events of a run?

The conclusions that every report shares, so that no report draws its own: the summary and its groups of findings, the
difference between two runs, findings that the user accepts, how a finding is reproduced, and the detection power of
the harness itself. Values and words only; nothing here prints.
"""
