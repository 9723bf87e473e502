"""Built-in losses, samplers, data sets and metrics, registered by the same hooks as third-party components."""
