"""A small numpy renderer and the invented goods that it photographs."""
