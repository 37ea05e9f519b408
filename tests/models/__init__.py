"""Tiny real checkpoints of each kind of model, made on the spot: nothing is downloaded."""
