"""One file per command.

Imported only by `cli.py`. Commands import what they need inside their functions, which keeps `vgsearch --help` fast.
"""
