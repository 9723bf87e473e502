"""The vocabulary: records, specs, contracts, events, params and errors. Knows no other layer and imports no torch."""
