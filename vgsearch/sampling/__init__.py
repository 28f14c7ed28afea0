"""`vgsearch sample`: which clips to make of a checkpoint, and their pictures.

Imported by `vgsearch.commands`.
"""
