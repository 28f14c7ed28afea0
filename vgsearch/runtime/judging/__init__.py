"""Scores, in Ray tasks: real-trained classifiers are prepared once, then synthetic clips are judged.

Imported by `sweep` and by `vgsearch.commands`.
"""
