"""The requests of `vgsearch evaluate` and `vgsearch confirm`, and their scores as tables, files and pictures.

Imports no ray; the measuring itself is `vgsearch.runtime.judging`.
"""
