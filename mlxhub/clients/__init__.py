"""The edge to HTTP servers: workers and the controller."""
