"""The page at /hub."""
