"""The science: video GANs, their constraints, and the scores that judge them.

Imports torch, numpy, av, pydantic, pyarrow, Pillow and nothing else; never ray, optuna or vgsearch.
"""
