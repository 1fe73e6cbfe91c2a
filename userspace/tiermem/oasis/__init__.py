"""Oasis: NICs and SSDs of other hosts, through memory that all of them share."""
