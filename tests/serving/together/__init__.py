"""Plugins that are used at the same time."""
