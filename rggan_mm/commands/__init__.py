"""The commands, one a module, and what they share; ``python -m rggan_mm`` lists them."""
