"""Thin shapes for ganforge: concentric circles, a Fourier-feature generator and the f-GAN loss."""
