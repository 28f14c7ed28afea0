"""Ray Data: decodes videos into the clip cache or streams them to trainings; the inputs that trials share.

Imported by `judging` and `sweep`.
"""
