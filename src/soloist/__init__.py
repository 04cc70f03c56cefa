"""Soloist takes a mixture of sounds apart.

`soloist.separate` does it in one call, `soloist.load` gives a `soloist.Separator` to work with, and packages
such as `soloist.networks` hold the parts. Imports happen at first use: `import soloist` costs nothing.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
