"""The edge to launchd: the client, its output, and reconciliation."""
