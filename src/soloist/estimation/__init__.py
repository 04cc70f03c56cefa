"""Estimation of sources from a network's output: Wiener filter, mixture consistency, clustering."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
