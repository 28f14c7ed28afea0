"""Metrics: pure functions of predictions, features and frames; no files, no training.

Any module here may be imported; they import torch. What is below does not, so ledgers can be read without it.
"""

import re

SCORES_OF_S3 = ("s3", "s3_chance_corrected", "ser", "res")
"""The scores of one S3 evaluation that measure whether a generator's clips show their class."""
ACCURACIES = ("ser", "res", "rer")
"""The accuracies that S3 is made of, from 0 to 1."""
OF_PACKAGES = "metric:"
"""Before the name of an installed package's metric where it is an objective; its sign says which values are better."""
VERSION = "v2"
"""The version of the named protocols, at the end of their names. v1 judged each real clip by its centre window and
samples by as many as there were test clips."""


def earlier_version(protocol: str | None) -> str | None:
    """The version of a protocol, such as v1, if it is not this one; else None, as for a protocol without a name."""
    found = re.search(r"_(v\d+)(?:\+|$)", protocol or "")
    return None if found is None or found[1] == VERSION else found[1]


ONE_PER_CLASS = "+one_per_class"
"""In the name of a protocol whose samples come from one generator for each class: another contest."""
