"""From generated text to answers."""
