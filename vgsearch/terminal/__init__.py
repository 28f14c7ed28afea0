"""What a sweep and its trials look like in a terminal.

`words.py` has the one formatter of numbers, intervals, sizes and durations.
"""
