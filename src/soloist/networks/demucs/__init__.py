"""Demucs: the time-domain network, the hybrid one, and the hybrid one with a transformer."""
