"""Finished runs: found, listed, loaded, sampled, evaluated, compared and exported."""
