"""What a run leaves on disk: the run folder and its lock, the journal, checkpoints, status, and atomic files."""
