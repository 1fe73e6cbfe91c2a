"""`python examples/chat`: a chat that vLLM serves with KV tiers, and again without.

It finds the repository's own modules from wherever it is called.
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import_module("examples.chat.demo").main()
