"""Autoencoders for ganforge."""
