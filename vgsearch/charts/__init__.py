"""Charts: what they show, and how plotly (in pages) and matplotlib (as PNG) draw them.

Imported by `vgsearch.data_check`, `vgsearch.evaluation`, `vgsearch.flow_fit` and `vgsearch.report`.
"""
