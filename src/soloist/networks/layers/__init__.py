"""Layers and contracts that several networks share."""
