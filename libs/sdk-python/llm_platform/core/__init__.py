"""What every call is made of, without any input or output of its own."""
