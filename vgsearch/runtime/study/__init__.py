"""Optuna: the study, its samplers and pruners, population based training, and rebuilding from the ledger.

Imported by `sweep`.
"""
