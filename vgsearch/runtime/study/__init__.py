"""Optuna: the study, its samplers and pruners, population based training, replay from the ledger.

Imported by `sweep`.
"""
