"""Callbacks receive training events: journal, checkpoints, pictures, curves, animation."""
