"""What `dev.py` is made of: the environment, the ComfyUI hosts, and the programs run with them."""
