"""Cluster files: copy one out, check it before it costs money, submit a command to a running cluster.

Imported by `vgsearch.commands`; imports neither ray nor the network.
"""
