"""Shell reactions: root's own code, with a deadline and no guard."""
