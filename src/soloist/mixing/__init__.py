"""Examples from corpora: which stems are drawn, how they are mixed, how they are varied."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
