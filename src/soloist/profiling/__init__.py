"""What separating costs."""

from soloist.profiling.memory import peak_memory, return_memory_at_once

__all__ = ["peak_memory", "return_memory_at_once"]
