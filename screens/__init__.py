"""The wizard's screens, one file each. An own top-level package, so that editable installs and wheels carry it alike."""
