"""The plot in one place: read → resolve → build → run → broadcast, for one run or for many seeds."""
