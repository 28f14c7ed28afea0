"""Optuna: the study, its samplers and pruners, population based training, and replay from the ledger.

Imported by `sweep`.
"""
