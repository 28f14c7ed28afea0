"""One file per command of the command line, in the order of the journey.

Imported by `cli.py` alone. Imports inside functions keep `vgsearch --help` fast.
"""
