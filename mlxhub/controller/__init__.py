"""The program that plans, routes and shows."""
