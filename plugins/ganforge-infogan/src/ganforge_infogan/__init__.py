"""InfoGAN for ganforge (Chen et al. 2016)."""
