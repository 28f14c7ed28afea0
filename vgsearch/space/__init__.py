"""Search spaces: YAML read into typed domains, budgets and constraints; a sweep as it was asked for.

Imports neither torch, ray nor optuna.
"""
