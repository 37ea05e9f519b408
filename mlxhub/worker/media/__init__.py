"""Pictures and sounds, from what clients send and to what they get."""
