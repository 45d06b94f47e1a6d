"""Planted functions in PyTorch: the faults that only autograd, fused kernels and memory layouts make possible
(`faults`), and correct implementations (`correct`). PyTorch is imported where a function is called.
"""
