"""Figures, never tests: StepFlow beside the tools people would use instead, in one run, as ratios."""
