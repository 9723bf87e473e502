"""From recipes to trainers: parts resolved, held against each other and built."""
