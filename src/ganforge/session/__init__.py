"""One run or a sweep of seeds, from recipe to result: read → resolve → build → train → callbacks → result."""
