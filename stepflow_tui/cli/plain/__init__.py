"""The wizard without a screen: the same flows as numbered questions and one line per event.

For screen readers, dumb terminals and whoever asks for `--plain`. Nothing moves, nothing is drawn, no state is a sign alone.
Questions go to stderr, what is asked for goes to stdout.
"""
