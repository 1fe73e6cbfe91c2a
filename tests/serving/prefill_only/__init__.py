"""PrefillOnly's executor with real models."""
