"""Files and addresses: local or remote places, files written whole or not at all, files of a step, weights.

Imports `videogan.config` alone.
"""
