"""Evaluation: scores and costs of systems on whole corpora, and a report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
