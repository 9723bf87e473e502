"""Recipes: read from TOML with the place of every value, judged at once, written out whole. Imports no torch."""
