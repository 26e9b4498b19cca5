"""The base of the pipeline: files, seeds and processes."""
