"""Sensitivity maps: their definition, the TVTensors that carry them, and the network that predicts them."""
