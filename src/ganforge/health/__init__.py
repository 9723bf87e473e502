"""The health watch: what goes wrong in training, said in words while it happens."""
