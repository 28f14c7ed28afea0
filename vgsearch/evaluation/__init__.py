"""What `vgsearch evaluate` and `vgsearch confirm` are asked for, and how their scores are printed and drawn.

Imports no ray; the measuring itself is `vgsearch.runtime.judging`.
"""
