"""What each weight shall become, as rules in JSON. It knows no graph and no target."""
