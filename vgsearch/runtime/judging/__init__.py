"""Scores: real-trained classifiers prepared once, synthetic clips judged, in Ray tasks.

Imported by `sweep` and by `vgsearch.commands`.
"""
