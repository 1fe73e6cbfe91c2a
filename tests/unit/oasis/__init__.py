"""Channels between hosts, and the devices that are reached through them."""
