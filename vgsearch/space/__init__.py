"""Search spaces: YAML read into typed domains, budgets and constraints; the settings of a sweep.

Nothing here imports ray or optuna, and only `sweep.py` imports torch.
"""
