"""One file a family of helpers: declaration, check, action."""
