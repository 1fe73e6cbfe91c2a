"""`tiermem …`: one module per verb, each a thin typer app over the rooms below."""
