"""`vgsearch flow fit`: trains PWC-Net, prints progress and draws flows by it.

Imported by `vgsearch.commands`.
"""
