"""Metrics: the numbers that say how well sources were separated, on tensors, without side effects."""
