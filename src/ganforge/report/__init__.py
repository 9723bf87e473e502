"""``ganforge report``: one page about a run, complete in itself."""
