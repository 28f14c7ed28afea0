"""Pages of HTML and Markdown: their blocks, template and writers, and the reports of experiments made of them.

Shows results of `vgsearch.runtime`; imports neither ray nor optuna.
"""
