"""Programs of others that make videos: their command lines, processes and samples. No Ray here.

`vgsearch.space` and `vgsearch.runtime` import it.
"""
