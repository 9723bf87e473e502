"""From recipes to trainers: parts found, checked against each other, and built."""
