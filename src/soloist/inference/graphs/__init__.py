"""Graphs of a separator's real-valued part, for engines and exports."""
