"""Where events go. A failing or slow printer affects only itself."""
