"""One experiment on disk: its paths, its ledger, its trials' records, checkpoints to keep, TensorBoard.

Imported by every folder above; imports neither torch, ray nor optuna.
"""
