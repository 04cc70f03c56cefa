"""Configuration: typed reading of YAML, objects from class paths, overrides by dotted keys."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
