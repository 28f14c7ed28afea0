"""What a chart shows, and how it is drawn: interactive by plotly in a page, as a PNG by matplotlib.

Imported by `vgsearch.data_check`, `vgsearch.evaluation`, `vgsearch.flow_fit` and `vgsearch.report`.
"""
