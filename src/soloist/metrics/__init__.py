"""Metrics: numbers that say how well sources were separated, without side effects.

All take references first and estimates second.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
