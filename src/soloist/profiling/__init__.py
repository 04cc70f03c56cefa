"""Profiles: parameters, operations, time and memory of separation and training."""
