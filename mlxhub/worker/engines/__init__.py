"""The engines, the only code that knows MLX."""
