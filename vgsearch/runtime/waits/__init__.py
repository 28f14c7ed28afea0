"""The one mechanism behind every wait: it tells what is waited for, watches the processes, and ends what is stuck.

`vgsearch.runtime` and `vgsearch.commands` import it.
"""
