"""From video files to clips: the manifest, decoding, the clip cache, windows, embedded data sets.

Imports `videogan.storage` and `videogan.config`.
"""
