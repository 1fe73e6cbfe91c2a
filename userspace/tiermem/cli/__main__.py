"""`python -m tiermem.cli`: the `tiermem` command where it is not on PATH."""

from tiermem.cli.main import main

main()
