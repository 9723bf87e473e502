"""Runs that were made: found by name, listed, marked when their process vanished, loaded, sampled from and exported."""
