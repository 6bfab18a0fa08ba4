"""A trained network without thresholds: folded, packed, or as ONNX."""
