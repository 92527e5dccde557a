"""Panels of the run screen: each shows one part of a snapshot."""
