"""Ancestry, habitat, files: asked once per detection."""
