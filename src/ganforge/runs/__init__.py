"""Runs that were made: found by name, listed, marked when their process vanished, loaded and sampled from."""
