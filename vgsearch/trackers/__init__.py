"""Experiment trackers beside TensorBoard: a run of MLflow, Weights & Biases or Trackio for each trial of a search.

Each file imports its package, an extra, when a search asks for it. `vgsearch.runtime.sweep` may import this.
"""
