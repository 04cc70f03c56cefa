"""What a researcher looks at while a training goes on: progress, curves, sounds and pictures.

The training hangs `callbacks_for` and `loggers_for` into Lightning's `Trainer`; what they show is said by the
recipe under `watch`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
