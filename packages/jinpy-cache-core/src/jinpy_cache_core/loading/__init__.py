"""The loading layer: compute a value once, for everyone, and never store one that came too late.

`states` (beside this package) says what may stand in the place of a key, `leases` who may compute
it, `freshness` when, `options` how. `plans` puts these decisions in order, once for sync and async,
on `leading` (who computes) and `values` (what is served);
`flights` joins the callers of one process; `drivers` run the plans. `cached` wraps functions.
"""
