"""The engine: two-player game, trainer, moving average, randomness, state. It knows neither plugins nor recipes."""
