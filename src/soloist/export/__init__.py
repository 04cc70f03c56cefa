"""Separators in forms that run without Soloist: ONNX, OpenVINO, TorchScript and `torch.export`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
