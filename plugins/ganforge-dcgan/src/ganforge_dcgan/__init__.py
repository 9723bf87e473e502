"""Convolutional GAN networks for ganforge (Radford et al. 2015), and the blocks that other plugins build on."""
