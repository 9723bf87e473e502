"""Health monitoring: checks that find failing training while it runs, such as mode collapse or vanishing gradients."""
