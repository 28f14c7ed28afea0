"""The science: video GANs, their constraints, and the scores that judge them.

Everything here may be imported by vgsearch. It imports only torch, numpy, av, pydantic, pyarrow and Pillow; never ray,
optuna or vgsearch.
"""
