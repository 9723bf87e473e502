"""Losses, samplers, data sets and metrics of the core. They come in by the door that a stranger's plugin uses."""
