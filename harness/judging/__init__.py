"""One tensor against its bound, and what is said about all of them."""
