"""LLM serving as a client of the memory layer: plugins of vLLM, and what they decide by.

What decides is plain Python, tested without vLLM; what vLLM loads only translates.
"""
