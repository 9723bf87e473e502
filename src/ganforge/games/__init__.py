"""Games: who trains against whom. A game is a tuple of turns that the trainer takes."""
