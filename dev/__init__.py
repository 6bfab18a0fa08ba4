"""Tools for developers of this package; not in the wheel."""
