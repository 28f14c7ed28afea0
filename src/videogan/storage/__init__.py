"""Files and where they are: local or remote places, atomic writes, numbered checkpoints, weights files, JSON values.

Anything here may be imported from anywhere. This package imports only `videogan.config`.
"""
