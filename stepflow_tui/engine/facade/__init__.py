"""What front ends call: each function does one thing a front end needs, and returns plain values."""
