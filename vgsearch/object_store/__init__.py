"""Experiments kept on an object store: working copies, the ledger in segments, one driver by lease, retries.

Imported by `vgsearch.experiment` and `vgsearch.runtime`.
"""
