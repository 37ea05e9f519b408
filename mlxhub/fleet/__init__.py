"""What the controller and the command line both do with running models: observe and act."""
