"""With vLLM for the CPU and a real model, in one process."""
