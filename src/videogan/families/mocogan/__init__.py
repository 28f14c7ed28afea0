"""MoCoGAN (Tulyakov et al. 2018) and MDP (Yushchenko et al. 2019): two families that share all but the video critic."""
