"""Commands that make pictures and pages for the guides. Nothing imports them."""
