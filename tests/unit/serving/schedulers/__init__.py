"""Policies of the schedulers, without vLLM."""
