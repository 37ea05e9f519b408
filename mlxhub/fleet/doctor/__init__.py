"""What can be wrong with a hub on this machine: named checks that only look."""
