"""How are problems made that nobody wrote down?

`draws` gives random numbers that are the same on every machine, `strategies` are Hypothesis strategies for problems
(public: they can be used in anyone's property tests), and `mutation` breeds new problems from interesting ones.
"""
