"""Configuration: typed reading of YAML, objects from class paths, overrides by dotted keys."""
