"""Steps of a live run, one file per step kind; `parts.py` puts tail, verifier and the way back together for them."""
