"""`vgsearch data check`: the check of a data set and its HTML page; also the data set of moving shapes.

Imported by `vgsearch.commands` and `vgsearch.runtime`.
"""
