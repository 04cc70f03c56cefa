"""The zoo: models on disk, the cards that say what they are, importers of published checkpoints.

What reads or writes weights is imported at its first use, so that listing the cards costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
