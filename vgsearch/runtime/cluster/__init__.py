"""The Ray that a command uses: its nodes, autoscaler, memory, what is refused before a sweep starts, jobs.

Imported by the other folders of `runtime` and by `vgsearch.commands`.
"""
