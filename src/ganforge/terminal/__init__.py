"""The terminal view: live view, plain progress lines, and log records as lines."""
