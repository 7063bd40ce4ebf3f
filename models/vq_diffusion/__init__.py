"""VQ-Diffusion and Improved VQ-Diffusion: discrete diffusion over the tokens of one grid."""
