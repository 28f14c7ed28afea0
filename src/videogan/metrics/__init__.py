"""Metrics: pure functions of predictions, features and frames; no files, no training.

Any module here may be imported; they import torch. The name list below does not, so ledgers can be read without it.
"""

VERSION = "v2"
"""The version of the named protocols, at the end of their names. v1 judged each real clip by its centre window and
samples by as many as there were test clips."""
SCORES_OF_S3 = ("s3", "s3_chance_corrected", "ser", "res")
"""The scores of one S3 evaluation that measure whether a generator's clips show their class."""
