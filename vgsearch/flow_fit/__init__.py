"""`vgsearch flow fit`: trains PWC-Net, prints its progress and draws its flows.

Imported by `vgsearch.commands`.
"""
