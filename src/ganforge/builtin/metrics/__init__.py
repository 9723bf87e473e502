"""Built-in metric components; their functions are in :mod:`ganforge.metrics`."""
