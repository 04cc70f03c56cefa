"""Corpora by layout, their tracks and stems, checks and conversions, and synthetic corpora."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
