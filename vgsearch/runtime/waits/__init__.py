"""The one mechanism behind every wait: it tells what is waited for, watches the processes, and ends what is stuck.

Only `vgsearch.runtime` imports it.
"""
