"""Search spaces: YAML read into typed domains, budgets and constraints; the settings of a sweep.

Imports neither torch, ray nor optuna.
"""
