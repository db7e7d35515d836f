"""The two drivers that run plans, one blocking and one awaiting, and what makes and keeps them."""
