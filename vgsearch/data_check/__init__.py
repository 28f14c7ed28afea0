"""What `vgsearch data check` measures of a data set, its HTML page, and the embedded moving shapes.

Imported by `vgsearch.commands` and `vgsearch.runtime`.
"""
