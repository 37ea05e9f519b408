"""The OpenAI API's shapes."""
