"""Turns a recipe into a trainer: finds the components, checks their compatibility, and builds them."""
