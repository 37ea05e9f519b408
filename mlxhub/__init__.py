"""Every MLX model its own OpenAI-compatible process, port and LaunchAgent."""
