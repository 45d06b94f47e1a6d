"""Planted functions in NumPy: a correct cross-entropy (`loss`), variants of it with a fault each, and correct
implementations of other designs (`correct`), which must raise no false alarm.
"""
