"""The training loop as an iterator of Progress, and a run's checkpoints, health and configuration."""
