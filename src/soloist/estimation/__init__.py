"""Masks, Wiener filter and mixture consistency: from a network's output to estimates."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
