"""PrefillOnly's executor, without torch."""
