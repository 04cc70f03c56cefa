"""What separating costs."""

from soloist.profiling.memory import peak_memory

__all__ = ["peak_memory"]
