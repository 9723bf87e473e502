"""The engine: trainer, moving average, randomness, state. It knows neither plugins nor recipes."""
