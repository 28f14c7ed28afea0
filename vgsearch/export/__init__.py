"""What `vgsearch export` writes: a model that other programs use, with what it is and how it was made.

Imports neither Ray nor Optuna; only commands import it.
"""
