"""Ray Data: decode videos into the clip cache or stream them to trainings; the inputs that trials share.

Imported by `judging` and `sweep`.
"""
