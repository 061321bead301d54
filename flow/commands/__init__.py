"""The commands of `mxdot`, one a file."""
