"""Players and mixers of sounds in a browser: their scripts, styles, and the peaks of waveforms."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
