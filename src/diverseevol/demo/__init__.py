"""A small made world, so that the whole method can be seen at work offline and in minutes."""
