"""Figures of sounds, trainings and models, drawn with Matplotlib without its global state."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
