"""Ray Data: videos decoded into the clip cache or streamed to the trainings; what trials share as inputs.

Imported by `judging` and `sweep`.
"""
