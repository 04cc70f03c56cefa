"""Separators in forms that run without Soloist: ONNX, OpenVINO, TorchScript and `torch.export`."""
