"""The edge to the disk and this machine."""
