"""`@cached`: functions that remember what they returned.

`keys` and `arguments` say which call is which, `wrappers` writes the function that looks it up,
`binding` finds the cache it looks in, and `cached` puts them together.
"""
