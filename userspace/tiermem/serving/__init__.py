"""LLM serving on the memory layer: clients of `layer`, and plugins of vLLM."""
