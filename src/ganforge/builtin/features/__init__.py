"""Features that metrics compare: raw values, a classifier, ImageNet networks."""
