"""Values of other libraries: Pydantic, msgspec, numpy, pandas, polars; none of them is imported.

A type is known by the name of its module and its own, once a value of it is met, or asked for; then
its library is there already. Stored bytes that need a library which this process has not imported
are an error that says so.
"""
