"""The Ray that a command uses: nodes, autoscaler, memory, checks before a sweep starts, jobs.

Imported by the other folders of `runtime` and by `vgsearch.commands`.
"""
