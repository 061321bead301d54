"""How it is used: the `mxdot` command, synthesis and place-and-route, reports."""
