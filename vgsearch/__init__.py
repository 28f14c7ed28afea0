"""The platform: searches hyperparameters of the video GANs in `videogan` on Ray.

`cli.py` is the table of contents; each folder holds one subject.
"""
