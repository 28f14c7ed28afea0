"""One YAML file per search space; package data of vgsearch."""
