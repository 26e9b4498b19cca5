"""The networks whose features are probed, and the probe."""
