"""The command line: Typer commands, the console's vocabulary, and the one place where errors are told to the user."""
