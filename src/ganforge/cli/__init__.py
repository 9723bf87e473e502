"""The command line: Typer commands, console output, and the boundary that reports errors."""
