"""What may reach a worker: models' directories, checked before any loader opens them."""
