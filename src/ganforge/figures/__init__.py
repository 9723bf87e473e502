"""Figures: everything that is drawn as PNG or SVG."""
