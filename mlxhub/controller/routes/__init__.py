"""The controller's HTTP routes."""
