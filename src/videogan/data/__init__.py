"""From video files to clips: the manifest, decoding, the clip cache, windows, embedded data sets.

Any module here may be imported. This package imports only `videogan.storage` and `videogan.config`.
"""
