"""`vgsearch flow fit`: trains PWC-Net, shows progress and draws what it learnt.

Imported by `vgsearch.commands`.
"""
