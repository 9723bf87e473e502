"""Conditional GAN networks for ganforge (Mirza & Osindero 2014)."""
