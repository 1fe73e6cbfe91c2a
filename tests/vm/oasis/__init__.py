"""Oasis with real devices."""
