"""Lineage: from any row to its source, and back.

`why` says where a trace comes from and what every selector made of it, `verify` checks each link from sources to
exports, `diff` compares the curated sets of two revisions. DVC's MD5s are the chain; this package knows git and DVC,
and reads their history. It is no part of any stage.
"""
