"""What the platform answers and what it may be asked, as its API describes them."""
