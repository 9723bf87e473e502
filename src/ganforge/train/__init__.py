"""The engine: turns, trainer, moving average, randomness, state. It knows neither plugins nor recipes."""
