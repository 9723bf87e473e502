"""Built-in data sets and how their files are read."""
