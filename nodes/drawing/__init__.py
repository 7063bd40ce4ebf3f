"""Pictures for people: maps, plots, contact sheets, and what they say in words. No host."""
