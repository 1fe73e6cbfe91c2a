"""What `tiermem serving top` shows: a vLLM server and its KV tiers, from its /metrics alone.

- `scrape`: asks the server, and says what is wrong where it does not answer;
- `figures`: what is read out of one answer;
- `activity`: what happened between two of them;
- `view`: the same for people.
"""

from tiermem.serving.top.activity import Activity, activity
from tiermem.serving.top.figures import Figures, read_figures
from tiermem.serving.top.scrape import metrics_url, scrape

__all__ = ["Activity", "Figures", "activity", "metrics_url", "read_figures", "scrape"]
