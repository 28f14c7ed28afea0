"""One YAML file per search, shipped in the wheel as package data of vgsearch."""
