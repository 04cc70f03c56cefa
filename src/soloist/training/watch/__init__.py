"""Figures, curves, sounds and pictures of a training while it goes on."""
