"""Observers listen to training events: the terminal, plain lines, pictures, curves, checkpoints, the journal."""
