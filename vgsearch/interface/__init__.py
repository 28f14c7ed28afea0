"""What a Python program calls: a search, and an experiment to read. The package `vgsearch` offers both as functions.

Only commands and `vgsearch.runtime` stand beside it: it starts Ray through `vgsearch.runtime.sweep`.
"""
