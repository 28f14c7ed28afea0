"""Experiments on an object store: working copies, the ledger in segments, the driver's lease, retries.

Imported by `vgsearch.experiment` and `vgsearch.runtime`.
"""
