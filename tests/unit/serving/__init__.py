"""LLM serving, without vLLM."""
