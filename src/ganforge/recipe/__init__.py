"""Recipes: read from TOML with the place of every value, validated, and written. Imports no torch."""
