"""`relay demo`: the whole way of the data on one laptop, with a verdict at the end."""
