"""What a run leaves on disk: atomic files, the run folder and its lock, the journal, checkpoints and the status."""
