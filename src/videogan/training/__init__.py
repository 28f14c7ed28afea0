"""The training loop as an iterator of Progress, its checkpoints, health and run configuration.

Imported by whoever iterates it; imports families, never data files.
"""
