"""Separators: compositions of transforms, networks and estimation."""
