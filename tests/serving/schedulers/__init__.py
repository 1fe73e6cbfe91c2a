"""The schedulers inside vLLM's engine."""
