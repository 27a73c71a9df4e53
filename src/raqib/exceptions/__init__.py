"""What is normal here: read, matched, drafted."""
