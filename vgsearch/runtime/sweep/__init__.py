"""A sweep on Ray Tune: from the request to the result, trials, retries, the watchdog, resuming, confirm.

Imported by `vgsearch.commands` alone.
"""
