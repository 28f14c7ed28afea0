"""`vgsearch replay`: recorded trials as a table, what simulated searches and prunings of it found, and its output.

Imported by `vgsearch.commands` and `vgsearch.runtime.study`, which simulates; imports neither ray nor optuna.
"""
