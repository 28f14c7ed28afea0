"""TGAN (Saito et al. 2017) and the 3D model it is compared with: two families that share discriminator and step."""
