"""One experiment on disk: its paths, its ledger with scores and ends, its trials' records and checkpoints, TensorBoard.

Imported by every folder above; imports neither torch, ray nor optuna.
"""
