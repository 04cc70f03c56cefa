"""The zoo: models on disk, their cards, importers of published checkpoints.

Names are imported at their first use, so that listing the cards loads no weights and no PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
