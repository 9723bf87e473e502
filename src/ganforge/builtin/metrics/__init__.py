"""Built-in metrics as components."""
