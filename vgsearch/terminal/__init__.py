"""A sweep and its trials as text in a terminal.

`words.py` has the one formatter of numbers, intervals, sizes and durations.
"""
