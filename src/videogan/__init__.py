"""Video GANs, their constraints and their scores: the science, which knows nothing of the platform that searches it."""
