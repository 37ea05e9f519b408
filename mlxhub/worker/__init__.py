"""The program that serves one model."""
