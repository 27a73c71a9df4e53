"""The types that stages hand to each other. Depends on no other stage."""
