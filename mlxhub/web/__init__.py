"""What stands in front of both programs: the server and the request id."""
