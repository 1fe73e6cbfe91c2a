"""SSDs of other hosts."""
