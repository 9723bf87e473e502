"""Games: which networks learn, in which turns, and from which losses."""
