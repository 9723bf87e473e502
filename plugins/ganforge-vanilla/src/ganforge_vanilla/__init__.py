"""Fully connected GAN networks for ganforge, as in Goodfellow et al. 2014."""
