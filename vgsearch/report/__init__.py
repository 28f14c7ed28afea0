"""The offline HTML report: blocks of a page, figures, tables, one template, Markdown with PNG figures.

Draws what `vgsearch.runtime` computed; imports neither ray nor optuna.
"""
