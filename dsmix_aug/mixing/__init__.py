"""DSMix: the transform, and the boxes, labels and arithmetic inside it."""
