"""Block-wise reading and writing of audio files in any format, and streaming resampling."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
