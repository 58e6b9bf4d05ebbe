"""Rows in the layouts that people have, one module per layout."""
