"""What a finished run looks like: the report, its pictures, and the comparison of runs."""
