"""The ground floor of the pipeline: files, seeds and processes."""
