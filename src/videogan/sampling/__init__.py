"""Clips out of a generator: synthetic sets, interpolations, what each subspace changes, pictures of them.

Imports `videogan.families` for what a generator offers.
"""
