"""Photos as people have them: which files count, and one safe way to read them."""
